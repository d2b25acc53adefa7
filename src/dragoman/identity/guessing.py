"""Keeps a flood of guessed keys from the database (`reliability.md` A11).

Most guesses never come to it: a string of our own form with a wrong checksum is refused before. But a checksum
can be computed, and stored keys may have any form. As long as unknown credentials are rare, each is asked for:
a key that another process has just made serves at once. Once they are many, the digests of all keys are read
once for each generation, and once a second where guesses have our form, and what is not among them is nobody's: no
query, whatever is guessed. A key that is made during a flood then serves within a second
(``FRESH_S``), or ``_PART`` times the time that a reading takes.
"""

from __future__ import annotations

import asyncio

from dragoman.core.clock import Clock
from dragoman.core.errors import GatewayError
from dragoman.identity.ports import Finding, Strangers, WatchedKeyStore

USUAL = 20.0
"""So many unknown credentials at once are no flood."""
USUAL_A_SECOND = 5.0
FRESH_S = 1.0
"""So long what was read holds of keys of our form as well, for somebody may make one."""
_PART = 20
"""Where there are so many that reading takes long, no more than this part of the time is spent on it."""
ASKING_S = 2.0


class Guesses:
    """How many unknown credentials have come lately, and which are nobody's for certain."""

    def __init__(self, store: WatchedKeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._level = 0.0
        self._at = clock.monotonic()
        self._strangers: Strangers | None = None
        self._epoch = -1
        """Of what was read; an older one says nothing any more."""
        self._good_until = float("-inf")
        """Until when it holds of keys of our form."""
        self._reading: asyncio.Task[None] | None = None

    def count(self) -> None:
        """One more was unknown."""
        now = self._clock.monotonic()
        self._level = max(0.0, self._level - (now - self._at) * USUAL_A_SECOND) + 1
        self._level = min(self._level, 2 * USUAL)  # what is over for some seconds, is over
        self._at = now

    def are_many(self) -> bool:
        """Whether they come faster than people mistype."""
        passed = self._clock.monotonic() - self._at
        return self._level - passed * USUAL_A_SECOND > USUAL

    async def judged(self, credential: str, epoch: int, *, ours: bool) -> Finding | None:
        """What is to be said of a credential that nobody has; None: the store has to be asked.

        ``epoch`` is when the keys were last doubted: what was read before says nothing. ``ours``: it has our
        form. Another process may just have made such a key, which moves no generation on.
        """
        if not self._is_told(epoch, ours=ours):
            reading = self._reading
            if reading is None:
                reading = self._reading = asyncio.create_task(self._read(epoch))
            await asyncio.shield(reading)
        if self._strangers is None or not self._is_told(epoch, ours=ours):
            return None
        return self._strangers(credential)

    def _is_told(self, epoch: int, *, ours: bool) -> bool:
        return self._epoch == epoch and not (ours and self._clock.monotonic() >= self._good_until)

    async def _read(self, epoch: int) -> None:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(ASKING_S):
                self._strangers = await self._store.strangers()
            self._epoch = epoch
            took = self._clock.monotonic() - began
            self._good_until = began + max(FRESH_S, took * _PART)
        except (GatewayError, TimeoutError):
            pass  # what was read before holds as long as it would have
        finally:
            self._reading = None
