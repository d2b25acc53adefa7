"""The record of what administrators did, each entry bound to the one before it.

    seal of an entry = HMAC-SHA-256(secret of the database, seal of the entry before ‖ the entry)

Whoever changes, removes, inserts or reorders an entry without that secret breaks the chain at the spot,
and ``verify`` says where. The last entries are known to be there by a counter beside the table; that both were
cut off together only the log tells, which has every entry's number and seal as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

Outcome: TypeAlias = Literal["begun", "done", "failed", "refused"]
"""``begun`` stands before an action, so that none happens unrecorded; how it ended is told by another entry.
``refused`` is what somebody tried who may not."""

FIRST = "0" * 64
"""What the first entry hangs on."""


class Deed(Struct, frozen=True):
    """What somebody did, or wanted to do; nothing in it is a secret."""

    action: str
    """``noun.verb``, such as ``api_key.revoke``."""
    target: str
    """The id of what it was done to."""
    tenant: str
    """Whose that is."""
    actor: str
    """The id of the key that did it; ``-`` for the command line."""
    actor_tenant: str
    outcome: Outcome
    request_id: str = ""
    before: str | None = None
    """JSON of what was there."""
    after: str | None = None


class Entry(Struct, frozen=True):
    """A deed in its place in the chain."""

    number: int
    """From 1 on, without a gap."""
    at_us: int
    """Unix microseconds."""
    deed: Deed
    previous: str
    seal: str = ""
    """Hex; empty while it is not sealed."""


class Finding(Struct, frozen=True):
    """What a check of the chain has found."""

    entries: int
    number: int | None = None
    """Where it is broken; None: it is whole."""
    trouble: str = ""


_encode = msgspec.json.Encoder(order="deterministic").encode


def sealed(entry: Entry, secret: bytes) -> Entry:
    """The entry with its seal."""
    return replace(entry, seal=_seal(entry, secret))


def _seal(entry: Entry, secret: bytes) -> str:
    return hmac.digest(secret, _encode(replace(entry, seal="")), "sha256").hex()


def told(value: Any) -> str | None:
    """What was there before or after, as it stands in a deed."""
    return None if value is None else _encode(value).decode()


class Verifier:
    """Follows the chain, entry by entry; the first trouble is the one that is told."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._number = 0
        self._seal = FIRST
        self._found: Finding | None = None

    def feed(self, entries: Iterable[Entry]) -> None:
        """The next entries, in the order of their numbers."""
        for entry in entries:
            if self._found is None:
                trouble = self._trouble(entry)
                if trouble:
                    self._found = Finding(self._number, self._number + 1, trouble)
                    return
                self._number, self._seal = entry.number, entry.seal

    def _trouble(self, entry: Entry) -> str:
        expected = self._number + 1
        if entry.number != expected:
            return f"entry {expected} is missing; entry {entry.number} follows"
        if not hmac.compare_digest(entry.previous, self._seal):
            return f"entry {entry.number} does not hang on the one before it"
        if not hmac.compare_digest(entry.seal, _seal(entry, self._secret)):
            return f"entry {entry.number} was changed"
        return ""

    def end(self, last: int) -> Finding:
        """What was found; ``last`` is the number that the newest entry had before the reading began."""
        if self._found is None and self._number < last:
            trouble = f"the chain ends at entry {self._number}; {last} were written"
            return Finding(self._number, self._number + 1, trouble)
        return self._found or Finding(self._number)
