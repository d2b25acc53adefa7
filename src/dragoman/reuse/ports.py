"""What giving again needs of a store: the one place where several processes agree who makes an answer.

Everything is asked for by tenant: what belongs to another is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from dragoman.reuse.transcript import Transcript


class Spot(Struct, frozen=True):
    """Where an answer is kept: for a tenant, under a hash of the key, or under its stream's id."""

    tenant: str
    scope: str


class Claimed(Struct, frozen=True):
    """The answer is ours to make."""


class Busy(Struct, frozen=True):
    """Another process is making it."""


class Differs(Struct, frozen=True):
    """The key was used for another request."""


class Absent(Struct, frozen=True):
    """There is none, and none is being made."""


Found: TypeAlias = Transcript | Busy | Differs | Absent
Claim: TypeAlias = Transcript | Busy | Differs | Claimed


class AnswerStore(Protocol):
    """Keeps answers, sealed. A ``HouseError`` means that it cannot be reached, or opened."""

    async def claim(self, spot: Spot, call_id: str, fingerprint: bytes) -> Claim:
        """Takes the spot for the call if it is free: never used, expired, or left by a dead process.

        Raises:
            CallerError: so much is kept for the tenant that there is no room for more.
        """
        ...

    async def look(self, spot: Spot, fingerprint: bytes | None) -> Found:
        """What is there; ``fingerprint`` None: whatever the request was."""
        ...

    async def scope(self, tenant: str, call_id: str) -> str | None:
        """Where the answer to a call is, or is being made."""
        ...

    async def finish(self, spot: Spot, call_id: str, transcript: Transcript) -> bool:
        """Keeps the answer; whether the spot was still the call's."""
        ...

    async def release(self, spot: Spot, call_id: str) -> None:
        """Frees the spot: there is no answer that may be given again."""
        ...

    async def renew(self, calls: Sequence[tuple[Spot, str]]) -> None:
        """Says that these answers are still being made."""
        ...

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` answers that have expired, of any tenant; how many it were."""
        ...


class AnswerCache(Protocol):
    """Keeps answers for a while, and loses them without harm. Never raises."""

    async def get(self, tenant: str, key: str) -> Transcript | None:
        """The answer, if it is there and not too old."""
        ...

    async def put(self, tenant: str, key: str, transcript: Transcript, keep_s: float) -> None:
        """Keeps the answer for so long, or less."""
        ...
