"""A whole completion as a stream of chunks, for a provider that ignored ``stream`` (P11)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.dialects.chat.error import DONE, malformed
from dragoman.dialects.chat.response import open_reply

_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])

_CHUNK = Raw(b'"chat.completion.chunk"')
_NULL = Raw(b"null")


def response_frames(body: bytes) -> bytes:
    """For each choice one delta with all of its message, its finish; then usage and ``[DONE]``.

    Raises:
        UpstreamError: the body holds no completion.
    """
    open_reply(body)
    try:
        top = _OBJECT.decode(body.removeprefix(b"\xef\xbb\xbf"))
        choices = _OBJECTS.decode(top.pop("choices", b"[]"))
        usage = top.pop("usage", _NULL)
        top["object"] = _CHUNK
        frames = [
            _frame({**top, "choices": [piece]}) for choice in choices for piece in _pieces(choice)
        ]
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise malformed() from None
    if bytes(usage) != b"null":
        frames.append(_frame({**top, "choices": [], "usage": usage}))
    return b"".join(frames) + DONE


def _pieces(choice: dict[str, Raw]) -> list[dict[str, object]]:
    """The delta and the finish of a choice; members that are ours to name come first."""
    index = choice.pop("index", Raw(b"0"))
    reason = choice.pop("finish_reason", _NULL)
    message = choice.pop("message", Raw(b"{}"))
    choice.pop("delta", None)  # Perplexity puts an empty one beside the message
    delta: dict[str, object] = dict(_OBJECT.decode(message))
    calls = delta.get("tool_calls")
    if isinstance(calls, Raw) and bytes(calls) != b"null":
        delta["tool_calls"] = [
            {"index": number, **call} for number, call in enumerate(_OBJECTS.decode(calls))
        ]
    said: dict[str, object] = {"index": index, "delta": delta, **choice, "finish_reason": None}
    finish: dict[str, object] = {"index": index, "delta": {}, "finish_reason": reason}
    return [said, finish]


def _frame(chunk: dict[str, object]) -> bytes:
    return b"data: " + _ENCODER.encode(chunk) + b"\n\n"
