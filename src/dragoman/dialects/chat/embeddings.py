"""``/v1/embeddings``: passed through within the family; vectors in either of their encodings.

The official SDK asks for base64 when its user says nothing, and takes lists of numbers as
well; who asks for numbers does not take base64. Base64 holds little-endian 32-bit floats.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import invalid, unsupported
from dragoman.core.loss import Loss
from dragoman.core.response import Embeddings
from dragoman.dialects.base import Outgoing, Tapped, Target
from dragoman.dialects.chat.error import malformed
from dragoman.dialects.chat.reply_wire import REPLY, Reader, UsageWire
from dragoman.dialects.chat.response import reported_error
from dragoman.dialects.chat.usage import read_usage

Encoding = Literal["float", "base64"]

_ENCODER = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, Raw]])
_NOTHING = (None, Raw(b"null"))
_INPUT = msgspec.json.Decoder(str | list[str | int | list[int]])


class _Vector(Struct, gc=False):
    embedding: str | list[float]
    index: int = 0


class _Reply(Struct, gc=False):
    data: list[_Vector] | None = None
    model: str | None = None
    usage: UsageWire | None = None
    id: str | None = None


_REPLY: Reader[_Reply] = Reader(_Reply)


# --------------------------------------------------------------------------- requests


def patch_embeddings(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own request for the provider: another model id, the rest byte for byte (D2).

    Raises:
        CallerError: a member has the wrong form.
    """
    check_input(members.get("input"))
    asked_encoding(members)
    if _said(members, "dimensions"):
        dimensions = _value(members["dimensions"], "dimensions")
        if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1:
            raise invalid("dimensions must be a whole number above 0.", "dimensions")
        refuse_dimensions(target)
    sent = dict(members)
    losses = [
        Loss(name, f"{target.provider} does not take it")
        for name in target.quirks.drop
        if sent.pop(name, None) not in _NOTHING
    ]
    for name, other in target.quirks.rename.items():
        if name in sent:
            sent[other] = sent.pop(name)
    sent["model"] = Raw(_ENCODER.encode(target.model))
    sent.pop("routing", None)
    return Outgoing(_ENCODER.encode(sent), tuple(losses))


def refuse_dimensions(target: Target) -> None:
    """Refuses a wish for shorter vectors where they cannot be had; they are never just cut off.

    Raises:
        CallerError: the target is declared not to take it.
    """
    if "dimensions" in target.quirks.drop:
        raise unsupported(
            f"dimensions: {target.provider} gives vectors of one length only.", "dimensions"
        )


def asked_encoding(members: dict[str, Raw]) -> Encoding:
    """The encoding that the caller asked for, float where it said nothing.

    Raises:
        CallerError: it is neither of the two.
    """
    if not _said(members, "encoding_format"):
        return "float"
    match _value(members["encoding_format"], "encoding_format"):
        case "float":
            return "float"
        case "base64":
            return "base64"
        case _:
            raise invalid("encoding_format must be float or base64.", "encoding_format")


def check_input(given: Raw | None) -> None:
    """Refuses what is no ``input``.

    Raises:
        CallerError: it is missing, empty, or of the wrong form.
    """
    wanted = "input must be a string, an array of strings, or an array of token ids."
    if given is None:
        raise invalid("input is required.", "input", "missing_required_parameter")
    try:
        value = _INPUT.decode(given)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(wanted, "input") from None
    if not value:
        raise invalid("input must not be empty.", "input")
    if isinstance(value, list):
        kinds = {type(item) for item in value}
        if len(kinds) > 1:
            raise invalid(wanted, "input")
        if any(item in ("", []) for item in value):
            raise invalid("input must not hold an empty element.", "input")


def _said(members: dict[str, Raw], name: str) -> bool:
    return name in members and bytes(members[name]) != b"null"


def _value(raw: Raw, name: str) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(f"{name} is not valid JSON.", name) from None


# --------------------------------------------------------------------------- replies


def tap_embeddings(body: bytes, asked: Encoding = "base64") -> Tapped:
    """The provider's own bytes and what they cost; vectors recoded only if the caller must.

    Who ``asked`` for numbers (``asked_encoding``) and was given base64 gets numbers; the other
    way round is accepted by every client.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    if asked == "float" and any(isinstance(item.embedding, str) for item in reply.data or ()):
        body = _recoded(body)
    usage = None if reply.usage is None else read_usage(reply.usage)
    return Tapped(body=body, usage=usage, id=reply.id, model=reply.model)


def read_embeddings(body: bytes) -> Embeddings:
    """The vectors in the order of the inputs.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    ordered = sorted(reply.data or (), key=lambda item: item.index)
    return Embeddings(
        model=reply.model or "",
        vectors=tuple(_floats(item.embedding) for item in ordered),
        usage=None if reply.usage is None else read_usage(reply.usage),
    )


def write_embeddings(embeddings: Embeddings, asked: Encoding) -> bytes:
    """The vectors for a chat client, in the encoding that it asked for."""
    usage = embeddings.usage
    tokens = (usage.input if usage is not None else None) or 0
    total = usage.total if usage is not None and usage.total is not None else tokens
    return _ENCODER.encode(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _base64(vector) if asked == "base64" else vector,
                }
                for index, vector in enumerate(embeddings.vectors)
            ],
            "model": embeddings.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": total},
        }
    )


def _open(body: bytes) -> _Reply:
    plain = REPLY.read(body, whole=True)
    error = reported_error(plain[0], body) if plain is not None else None
    if error is not None:
        raise error
    found = _REPLY.read(body, whole=True)
    if found is None or found[0].data is None:
        raise malformed("vectors")
    return found[0]


def _recoded(body: bytes) -> bytes:
    top = _OBJECT.decode(body)
    vectors: list[dict[str, object]] = []
    for item in _OBJECTS.decode(top["data"]):
        vector = msgspec.json.decode(item["embedding"], type=str | list[float])
        vectors.append({**item, "embedding": _floats(vector)})
    return _ENCODER.encode({**top, "data": vectors})


def _floats(vector: str | list[float]) -> tuple[float, ...]:
    if not isinstance(vector, str):
        return tuple(vector)
    try:
        data = b64decode(vector, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (binascii.Error, ValueError, struct.error):
        raise malformed("vectors") from None


def _base64(vector: tuple[float, ...]) -> str:
    """Little-endian 32-bit floats; a number beyond their range is infinite, as in any of them."""
    narrow = (min(max(number, -_LARGEST), _LARGEST) for number in vector)
    return b64encode(struct.pack(f"<{len(vector)}f", *narrow)).decode()


_LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
