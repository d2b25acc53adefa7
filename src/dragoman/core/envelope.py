"""Reasoning state of one family in a slot of another's dialect, and back (`dialects.md` §2.3).

Clients keep a thought's opaque state as text and send it back on the next turn. State that the
client's own family did not issue travels in an envelope that names its issuer and is signed
by us, so that it is unwrapped byte for byte towards that family, shown to no other, and
nobody but us can make one (D22). Readers leave an envelope closed: only who holds the key
opens it, before anything is written for a provider.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.loss import Loss
from dragoman.core.parts import Message, Part, Thinking
from dragoman.core.request import Request

PREFIX = "drg1."
SEALED = "dragoman"
"""Family of reasoning whose state is still in its envelope; no provider's, so nobody is shown it."""

_MAC_BYTES = 16


class _State(Struct, frozen=True, omit_defaults=True):
    """What has to come back, beside the words themselves; ``f`` issued it."""

    f: str
    s: str | None = None
    e: str | None = None
    r: bool = False
    i: str | None = None
    o: str | None = None
    y: bool = False


_STATE = msgspec.json.Decoder(_State)


class Envelope:
    """Seals and opens; ``keys`` by version, of which the newest seals."""

    __slots__ = ("_keys", "_newest")

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys = dict(keys)
        self._newest = max(keys)

    def __repr__(self) -> str:
        return f"Envelope({sorted(self._keys)})"

    def seal(self, part: Thinking) -> str:
        """The envelope of a part's state; it names the issuer even of a thought without any.

        What nobody issued has none: there is nothing to bring back.
        """
        if part.family is None and part.signature is None and part.encrypted is None:
            return ""
        state = _State(
            f=part.family or "",
            s=part.signature,
            e=part.encrypted,
            r=part.redacted,
            i=part.id,
            o=part.format,
            y=part.summary,
        )
        said = f"{PREFIX}{self._newest}.{_text(msgspec.json.encode(state))}"
        return f"{said}.{_text(self._mac(self._newest, said))}"

    def open(self, part: Thinking) -> Thinking | None:
        """The part as its issuer knows it; None if the envelope is not ours or not whole."""
        sealed = part.encrypted if part.redacted else part.signature
        said, _, mac = (sealed or "").rpartition(".")
        version, _, state = said.removeprefix(PREFIX).partition(".")
        if not (said.startswith(PREFIX) and version.isdecimal() and int(version) in self._keys):
            return None
        if not hmac.compare_digest(mac.encode(), _text(self._mac(int(version), said)).encode()):
            return None
        found = _STATE.decode(base64.urlsafe_b64decode(state + "=" * (-len(state) % 4)))
        return Thinking(
            text=part.text,
            signature=found.s,
            encrypted=found.e,
            redacted=found.r,
            id=found.i,
            format=found.o,
            family=found.f or None,
            summary=found.y,
        )

    def _mac(self, version: int, said: str) -> bytes:
        data = said.encode("utf-8", "surrogatepass")
        return hmac.digest(self._keys[version], data, "sha256")[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def is_sealed(state: str | None) -> bool:
    """Whether opaque state is an envelope, ours or one that looks like it."""
    return state is not None and state.startswith(PREFIX)


def open_thoughts(request: Request, envelope: Envelope | None) -> tuple[Request, tuple[Loss, ...]]:
    """The request with every envelope opened; what cannot be opened is left out and told (P93)."""
    for message in request.messages:
        for part in message.parts:
            if part.__class__ is Thinking and _is_shut(part):
                return _with_opened(request, envelope)
    return request, ()


def _is_shut(part: Part) -> bool:
    return isinstance(part, Thinking) and part.family == SEALED


def _with_opened(request: Request, envelope: Envelope | None) -> tuple[Request, tuple[Loss, ...]]:
    losses: list[Loss] = []
    messages = tuple(
        _opened(message, f"messages[{number}]", envelope, losses)
        for number, message in enumerate(request.messages)
    )
    return replace(request, messages=messages), tuple(losses)


def _opened(message: Message, at: str, envelope: Envelope | None, losses: list[Loss]) -> Message:
    if not any(map(_is_shut, message.parts)):
        return message
    parts: list[Part] = []
    for number, part in enumerate(message.parts):
        if not (isinstance(part, Thinking) and part.family == SEALED):
            parts.append(part)
            continue
        opened = envelope.open(part) if envelope is not None else None
        if opened is None:
            losses.append(Loss(f"{at}.content[{number}]", "its envelope is not of this gateway"))
        else:
            parts.append(opened)
    return replace(message, parts=tuple(parts))
