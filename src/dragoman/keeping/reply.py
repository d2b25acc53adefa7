"""A finished response as JSON: what has to be known of it, and the two members that we tell."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct


class Reply(Struct):
    """A response, in what matters here."""

    id: str
    store: bool | None = None


_REPLY = msgspec.json.Decoder(Reply)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_reply(body: bytes) -> Reply | None:
    """What a reply says of itself; None where it is no response."""
    try:
        return _REPLY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def tell(body: bytes, said: dict[str, object]) -> bytes:
    """The response with these members in the place of its own; as it is where it is none."""
    if not said:
        return body
    try:
        members = _MEMBERS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    for name, value in said.items():
        members[name] = Raw(msgspec.json.encode(value))
    return msgspec.json.encode(members)
