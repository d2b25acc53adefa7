"""Remembers what the store said of a credential, so that a request costs a dict look-up.

A change of any key moves the store's generation on. Where somebody looks at it anyway, we hear of
every look; else, while requests come, it is read again every half second beside them. A request
that finds the last reading a second old waits for the next. So a key revoked by another process
is refused within a second, and requests do not pay for SQL. If the database cannot be asked,
what is known stays known for a minute, and the rest is a 503, never a 401 (`reliability.md` D2).

The generation does not say which key was changed: all are asked for anew then, a few at a time, and requests
wait for that. Where the database fails just at that moment, what was known before stands, as if the change had
not been heard of; that many keys are asked for is no failure. What this process has changed itself it does know,
and that is gone.

Entries are keyed by a keyed digest of the whole credential, never by a part of it
(CVE-2026-35030); the digest is the process's own, as the stored one costs four times as much
for each request. What is known and what is unknown are kept apart, so that a flood of guesses
cannot push out good keys. Who does not have the process's salt cannot steer a digest, hence
the timing of a dict tells nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

from dragoman.core.call import Caller
from dragoman.core.clock import Clock
from dragoman.core.errors import GatewayError, HouseError
from dragoman.identity.authenticate import caller_of
from dragoman.identity.guessing import Guesses
from dragoman.identity.ports import Finding, KeyRecord, WatchedKeyStore

REFRESH_S = 0.5
FRESH_S = 1.0
"""A change by another process is noticed within this."""
PATIENCE_S = 0.5
"""The longest that a request waits for the generation; whoever waits longer for a key looks whether it is read."""
STALE_S = 60.0
"""How long known keys go on while the store cannot be asked, unless a setting says otherwise."""
UNKNOWN_S = 5.0
TURNS = 8
"""Keys that are asked for anew at once: others need connections as well, and the generation has to be read."""
ASKING_S = 2.0
"""After this a question to the store has failed (`reliability.md` D3)."""
CAPACITY = 10_000

T = TypeVar("T")


class _Known(NamedTuple):
    """What is remembered of a key."""

    finding: Finding
    caller: Caller | None
    """None: it is refused whoever calls, and the finding tells why."""
    until: float | None
    """When it expires, in Unix seconds."""


def _known_of(finding: Finding, record: KeyRecord) -> _Known:
    refused = record.revoked is not None or record.stopped is not None
    return _Known(finding, None if refused else caller_of(record), record.expires)


class CachedKeys:
    """A ``KeyStore`` in front of another; one per process and event loop."""

    def __init__(
        self,
        store: WatchedKeyStore,
        clock: Clock,
        capacity: int = CAPACITY,
        *,
        stale_s: float = STALE_S,
    ) -> None:
        self._store = store
        self._stale_s = stale_s
        self._clock = clock
        self._capacity = capacity
        self._salt = os.urandom(32)
        self._known: dict[bytes, _Known] = {}
        self._doubted: dict[bytes, tuple[float, _Known]] = {}
        """What was known before some key was changed; until when it stands where the store cannot tell."""
        self._unknown: dict[bytes, tuple[float, Finding]] = {}
        self._asking: dict[bytes, asyncio.Task[Finding]] = {}
        self._begun: set[bytes] = set()
        """Those of them that the store was asked since the last doubt."""
        self._guesses = Guesses(store, clock)
        self._turns = asyncio.Semaphore(TURNS)
        self._generation: int | None = None
        self._epoch = 0
        """Moves on whenever all is doubted: an answer from before is not remembered."""
        self._read_at = float("-inf")
        """When the last reading that succeeded began."""
        self._unread_at = float("-inf")
        """When a reading failed last."""
        self._untold_at = float("-inf")
        """When a question for what was known before failed last."""
        self._look_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._reading_since = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def known(self, credential: str) -> Caller | None:
        """Whose key it is, if it is remembered, in force, and the last reading of the generation fresh."""
        if self._clock.monotonic() >= self._look_at:
            return None
        known = self._known.get(digest_of(credential, self._salt))
        if known is None:
            return None
        _, caller, until = known
        return caller if until is None or self._clock.wall() < until else None

    async def find(self, credential: str, public_id: str | None) -> Finding:
        """What the store knows of ``credential``, from memory where that is fresh."""
        digest = digest_of(credential, self._salt)
        now = self._clock.monotonic()
        if now >= self._look_at:
            await self._look(now)
        known = self._known.get(digest)
        if known is not None:
            return known.finding
        unknown = self._unknown.get(digest)
        if unknown is not None and now < unknown[0]:
            return unknown[1]
        doubted = self._doubted.get(digest)
        if doubted is not None and now < doubted[0]:
            return await self._ask_again(digest, credential, public_id)
        if self._guesses.are_many() and now - self._read_at < FRESH_S:
            finding = await self._guesses.judged(
                credential, self._epoch, ours=public_id is not None
            )
            if finding is not None:
                self._guesses.count()
                return finding
        return await self._ask(digest, credential, public_id)

    def changed(self, tenant: str, key_id: str | None = None) -> None:
        """This process has changed a key, or whatever holds for all keys of a tenant."""
        self._doubt()
        for digest, (_, known) in tuple(self._doubted.items()):
            record = known.finding.record
            if record is None or (record.tenant == tenant and key_id in {None, record.id}):
                del self._doubted[digest]

    def forget(self) -> None:
        """Drops all that is remembered."""
        self._doubt()
        self._doubted.clear()

    def _doubt(self) -> None:
        """Has all be asked for anew."""
        self._epoch += 1
        until = self._read_at + self._stale_s
        for digest, known in self._known.items():
            _put(self._doubted, digest, (until, known), self._capacity)
        self._known.clear()
        self._unknown.clear()
        for digest in self._begun:  # what has still to begin is asked after the change
            self._asking.pop(digest, None)
        self._begun.clear()

    async def close(self) -> None:
        """Ends what runs beside the requests."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, now: float) -> None:
        """Has the generation read again; waits only where the last reading is too old."""
        reading = self._reading
        if reading is None:
            self._reading_since = now
            reading = self._reading = self._start(self._read(now))
        if now - self._read_at < FRESH_S:
            self._look_at = self._read_at + FRESH_S
            return
        patience = self._reading_since + PATIENCE_S - now
        if patience > 0 and now - self._unread_at >= FRESH_S:
            await asyncio.wait([reading], timeout=patience)
        if now - self._read_at < FRESH_S:
            return
        self._look_at = now + REFRESH_S
        if now - self._read_at >= self._stale_s:
            self.forget()

    async def _read(self, now: float) -> None:
        try:
            async with asyncio.timeout(ASKING_S):
                generation = await self._store.generation()
        except (GatewayError, TimeoutError):
            self._unread_at = self._clock.monotonic()
        else:
            self.heard(generation, now)
        finally:
            self._reading = None

    def heard(self, generation: int, began: float) -> None:
        """The generation was read, here or by whoever else looks; ``began``: when, in monotonic seconds."""
        if began < self._read_at:
            return
        if generation != self._generation:
            self._generation = generation
            self._doubt()
            # It answers: what is doubted is asked for at once.
            self._unread_at = self._untold_at = float("-inf")
        self._read_at = began
        self._look_at = began + REFRESH_S

    async def _ask(self, digest: bytes, credential: str, public_id: str | None) -> Finding:
        """Asks the store, once for all who want to know the same at the same time."""
        task = self._asking.get(digest)
        if task is None:
            task = self._start(self._fetch(digest, credential, public_id))
            self._asking[digest] = task
        return await asyncio.shield(task)

    async def _ask_again(self, digest: bytes, credential: str, public_id: str | None) -> Finding:
        """Asks for what was known before a change; where the database fails, that stands."""
        while self._answers():
            task = self._asking.get(digest)
            if task is None:
                task = self._start(self._fetch_in_turn(digest, credential, public_id))
                self._asking[digest] = task
            await asyncio.wait([task], timeout=PATIENCE_S)
            if task.done():
                with suppress(GatewayError):
                    return task.result()
            else:
                await self._look(self._clock.monotonic())
        doubted = self._doubted.get(digest)
        if doubted is None:
            return await self._ask(digest, credential, public_id)
        return doubted[1].finding

    def _answers(self) -> bool:
        """Whether the database has neither failed lately nor been silent for long."""
        now = self._clock.monotonic()
        return now - self._read_at < FRESH_S <= now - self._untold_at

    async def _fetch_in_turn(
        self, digest: bytes, credential: str, public_id: str | None
    ) -> Finding:
        async with self._turns:
            if self._answers():
                try:
                    return await self._fetch(digest, credential, public_id)
                except GatewayError:
                    self._untold_at = self._clock.monotonic()
                    raise
        del self._asking[digest]
        raise _silent()

    async def _fetch(self, digest: bytes, credential: str, public_id: str | None) -> Finding:
        epoch = self._epoch
        self._begun.add(digest)
        try:
            async with asyncio.timeout(ASKING_S):
                finding = await self._store.find(credential, public_id)
        except TimeoutError:
            raise _silent() from None
        finally:
            if epoch == self._epoch:
                self._begun.discard(digest)
                del self._asking[digest]
        if epoch == self._epoch:
            self._remember(digest, finding)
        return finding

    def _remember(self, digest: bytes, finding: Finding) -> None:
        self._doubted.pop(digest, None)
        if finding.record is not None:
            _put(self._known, digest, _known_of(finding, finding.record), self._capacity)
        else:
            self._guesses.count()
            until = self._clock.monotonic() + UNKNOWN_S
            _put(self._unknown, digest, (until, finding), self._capacity)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Looked at, so that an error that nobody waited for is not reported as lost.
            task.exception()


def _silent() -> HouseError:
    return HouseError(
        "overloaded",
        "The database of keys does not answer: try again.",
        code="database_error",
        retryable=True,
    )


def digest_of(credential: str, salt: bytes) -> bytes:
    """What a credential is remembered under: 64 bytes of all of it."""
    return blake2b(credential.encode(), key=salt).digest()


def _put(entries: dict[bytes, T], digest: bytes, entry: T, capacity: int) -> None:
    """Adds an entry; a full dict loses its oldest."""
    entries.pop(digest, None)
    if len(entries) >= capacity:
        del entries[next(iter(entries))]
    entries[digest] = entry
