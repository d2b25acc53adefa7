"""Parts of a content → canonical parts, for requests and replies alike.

A part has one member with data and perhaps modifiers; parts of kinds that only Gemini has
(code it ran, tools it called) stay what they are.
"""

from __future__ import annotations

import hashlib

from msgspec import Raw

from dragoman.core.parts import (
    Ext,
    FileRef,
    Inline,
    Media,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.signatures import UNSIGNED, signature_of, thought, unsealed_text
from dragoman.dialects.gemini.wire import DIALECT, WireError
from dragoman.dialects.media_kind import MediaKind, media_kind

MADE = "gcall_"
"""How ids begin that were made here: Gemini is not told them (P29)."""

_KNOWN = {"text", "thought", "thoughtSignature", "functionCall", "functionResponse"}
_KNOWN |= {"inlineData", "fileData"}
_MODIFIERS = ("partMetadata", "videoMetadata", "mediaResolution")


def made_id(*seed: object) -> str:
    """An id where Gemini gave none, the same for the same answer (P29)."""
    text = "\0".join(str(one) for one in seed)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12)
    return f"{MADE}{digest.hexdigest()}"


def read_part(raw: Raw, path: str, seed: str) -> tuple[Part, ...]:
    """One part: its signature, where it is no thought's, and what it holds. Nothing for nothing."""
    found = wire.members(raw, path)
    is_thought = "thought" in found and wire.boolean(found["thought"], f"{path}.thought")
    signature = wire.opt_text(found, "thoughtSignature", path) or None
    if signature == UNSIGNED:
        signature = None
    if "functionCall" in found:
        call = _call(found, f"{path}.functionCall", seed)
        return _signed(signature, call, call.id)
    if "functionResponse" in found:
        return (_result(found, f"{path}.functionResponse", seed),)
    if "text" in found:
        return _text(found, path, signature, is_thought=is_thought)
    if "inlineData" in found or "fileData" in found:
        if is_thought:
            return (_opaque("thought", raw),)
        return _signed(signature, _media(found, path))
    kind = next((name for name in found if name not in {*_KNOWN, *_MODIFIERS}), None)
    if kind is not None:
        return (_opaque(kind, raw),)
    if signature is None:
        return ()
    if is_thought or unsealed_text(signature) is not None:
        return (thought("", signature),)
    return (signature_of(signature),)


def _signed(signature: str | None, part: Part, call_id: str | None = None) -> tuple[Part, ...]:
    return (part,) if signature is None else (signature_of(signature, call_id), part)


def _text(
    found: dict[str, Raw], path: str, signature: str | None, *, is_thought: bool
) -> tuple[Part, ...]:
    words = wire.text(found["text"], f"{path}.text")
    if unsealed_text(signature) is not None:
        return (thought(words, signature),)
    if is_thought and (words or signature is not None):
        return (thought(words, signature),)
    told = () if signature is None else (signature_of(signature),)
    if is_thought or not words:
        return told
    return (*told, Text(words, ext=_ext(found)))


def _ext(found: dict[str, Raw], *names: str) -> Ext | None:
    kept = {name: found[name] for name in names or _MODIFIERS if name in found}
    return {DIALECT: kept} if kept else None


def _opaque(kind: str, raw: Raw) -> Opaque:
    return Opaque(DIALECT, kind, Raw(wire.compact(raw).encode()))


def _call(found: dict[str, Raw], path: str, seed: str) -> ToolCall:
    call = wire.members(found["functionCall"], path)
    name = wire.opt_text(call, "name", path) or ""
    arguments = wire.compact(call["args"]) if "args" in call else "{}"  # P34
    given = wire.opt_text(call, "id", path)
    return ToolCall(
        id=given or made_id(seed, name, arguments),
        name=name,
        arguments=arguments,
        ext=_ext(found),
    )


def _result(found: dict[str, Raw], path: str, seed: str) -> ToolResult:
    del seed
    said = wire.members(found["functionResponse"], path)
    parts, failed = _answer(said, f"{path}.response")
    for number, item in enumerate(wire.items(said["parts"], path) if "parts" in said else ()):
        place = f"{path}.parts[{number}]"
        inner = wire.members(item, place)
        if "inlineData" in inner or "fileData" in inner:
            parts.append(_media(inner, place))
        elif "text" in inner:
            parts.append(Text(wire.text(inner["text"], f"{place}.text")))
        elif inner:
            parts.append(_opaque(next(iter(inner)), item))
    return ToolResult(
        call_id=wire.opt_text(said, "id", path) or "",
        parts=tuple(parts),
        is_error=failed,
        name=wire.opt_text(said, "name", path),
        ext=_ext(said, "willContinue", "scheduling"),
    )


def _answer(said: dict[str, Raw], path: str) -> tuple[list[Part], bool]:
    """``response`` by its convention: ``output`` holds a result, ``error`` a failure (P51)."""
    if "response" not in said:
        return [], False
    raw = said["response"]
    if bytes(raw)[:1] != b"{":
        words = wire.any_value(raw, path)
        return [Text(words if isinstance(words, str) else wire.compact(raw))], False
    answer = wire.any_value(raw, path)
    if isinstance(answer, dict) and len(answer) == 1 and set(answer) <= {"output", "error"}:
        name, value = next(iter(answer.items()))
        words = value if isinstance(value, str) else wire.encode(value).decode()
        return [Text(words)] if words else [], name == "error"
    return [Text(wire.compact(raw))], False


def _media(found: dict[str, Raw], path: str) -> Media:
    if "inlineData" in found:
        blob = wire.members(found["inlineData"], f"{path}.inlineData")
        mime = (wire.opt_text(blob, "mimeType", path) or "application/octet-stream").lower()
        data = wire.opt_text(blob, "data", path) or ""
        # The official client writes the URL's alphabet.
        data = data.replace("-", "+").replace("_", "/")
        name = wire.opt_text(blob, "displayName", path)
        return Media(media_kind(mime), Inline(data, mime), filename=name, ext=_ext(found))
    file = wire.members(found["fileData"], f"{path}.fileData")
    uri = wire.opt_text(file, "fileUri", path)
    if not uri:
        raise WireError(f"{path}.fileData.fileUri", "it is required")
    told = wire.opt_text(file, "mimeType", path)
    stated = told.lower() if told else None
    kind = media_kind(stated) if stated else _kind_of_uri(uri)
    own = "generativelanguage.googleapis.com" in uri or not uri.startswith(("http://", "https://"))
    source = FileRef(uri, DIALECT, stated) if own else Url(uri, stated)
    return Media(kind, source, ext=_ext(found))


def _kind_of_uri(uri: str) -> MediaKind:
    return "video" if "youtube.com/" in uri or "youtu.be/" in uri else "document"


def joined(parts: list[Part]) -> tuple[Part, ...]:
    """Thoughts that a stream cut into pieces, whole again in front of their envelope."""
    found: list[Part] = []
    for part in parts:
        last = found[-1] if found else None
        if (
            isinstance(part, Thinking)
            and part.family != DIALECT
            and isinstance(last, Thinking)
            and last.signature is None
            and not last.redacted
        ):
            found[-1] = Thinking(
                last.text + part.text, signature=part.signature, family=part.family
            )
        elif (
            isinstance(part, Thinking)
            and isinstance(last, Thinking)
            and not (last.signature or part.redacted or last.redacted)
        ):
            found[-1] = thought(last.text + part.text, part.signature)
        else:
            found.append(alone(part))
    return tuple(found)


def alone(part: Part) -> Part:
    """A signature that no thought stands before belongs to what follows it."""
    native = isinstance(part, Thinking) and part.family == DIALECT and not part.redacted
    if native and isinstance(part, Thinking) and part.signature and not part.text:
        return signature_of(part.signature)
    return part
