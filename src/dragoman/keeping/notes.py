"""What providers keep is written down behind the answer: nobody waits for the database to hear of it.

A note goes into a journal, which survives kill -9, and into a queue, in which this process finds it
at once; a batch at a time it goes on to the database. While that is away notes wait, and tries are
spaced out. The queue is bounded: over ``most`` notes the newcomers are left to the journal alone,
and are read back from it when the database takes notes again; whose they are is known meanwhile. Only
where the disk is full too, or ten times as many are left to the journal, is a note refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from msgspec import Struct, structs

from dragoman.core.errors import HouseError
from dragoman.keeping.ports import Content, Held, Kept, Link, Note, NoteLog, ResponseStore, note_of

MOST = 20_000
_BEYOND = 10
"""So many times ``most`` may be left to the journal."""
_AT_ONCE = 50
"""Notes of one transaction; somebody who waits for his own response may stand behind it."""
_SPREAD_S = 0.02
"""Between two transactions: under load a few large ones."""
_BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)

Key = tuple[str, str]
"""A tenant, and the id of a response."""


def merge_notes(notes: Iterable[Note]) -> list[tuple[str, Kept]]:
    """One for each response, with the ids of all its notes."""
    found: dict[Key, Kept] = {}
    for note in notes:
        key = note.tenant, note.id
        before = found.get(key)
        found[key] = note.kept() if before is None else _with_names(note.kept(), before)
    return [(tenant, kept) for (tenant, _), kept in found.items()]


def _with_names(kept: Kept, before: Kept) -> Kept:
    return structs.replace(
        kept,
        items=tuple(dict.fromkeys((*before.items, *kept.items))),
        lasting=tuple(dict.fromkeys((*before.lasting, *kept.lasting))),
    )


async def write_notes(
    store: ResponseStore, notes: Sequence[tuple[str, Kept]], failed: Callable[[Exception], None]
) -> None:
    """Writes notes, some in each transaction; one that the database does not take is given up.

    Raises:
        HouseError: the database cannot be reached; any of the notes may be written.
    """
    rest = iter(notes)
    while some := list(islice(rest, _AT_ONCE)):
        puts = (store.put(tenant, kept) for tenant, kept in some)
        told = await asyncio.gather(*puts, return_exceptions=True)
        for error in told:
            if isinstance(error, HouseError):
                raise error
            if isinstance(error, Exception):
                failed(error)


class _Entry(Struct, frozen=True):
    kept: Kept
    files: tuple[int, ...]
    """The journal's files that it is counted in; an older note of the same response counts too."""


class Notes:
    """A store of responses, with notes that are on their way to it."""

    def __init__(
        self,
        store: ResponseStore,
        log: NoteLog,
        failed: Callable[[Exception], None],
        *,
        again_s: float = 0.0,
        most: int = MOST,
    ) -> None:
        self._store = store
        self._log = log
        self._failed = failed
        self._again_s = again_s
        """After which what was not found is looked for once more: another process may have it."""
        self._most = most
        self._waiting: dict[Key, _Entry] = {}
        self._names: dict[str, set[Key]] = {}
        """Id of a response or an item → the notes in which it stands."""
        self._left_to_log: Counter[int] = Counter()
        self._beyond: dict[Key, tuple[str, ...]] = {}
        """Notes that the journal alone has, by the ids that stand in them: nobody else may have those."""
        self._writing = asyncio.Lock()
        self._due = asyncio.Event()

    # --- notes

    @property
    def waiting(self) -> int:
        """Notes that the database does not have yet and memory does."""
        return len(self._waiting)

    def note(self, tenant: str, kept: Kept) -> bool:
        """Takes a response without content, which is there from now on; whether it could.

        Items that were noted with it before stay its own.
        """
        key = tenant, kept.id
        before = self._waiting.get(key)
        if before is not None:
            kept = _with_names(kept, before.kept)
        is_full = before is None and len(self._waiting) >= self._most
        if is_full and (self._log.full or len(self._beyond) >= _BEYOND * self._most):
            return False
        number = self._log.append(note_of(tenant, kept))
        names = kept.names
        if is_full:
            self._left_to_log[number] += 1
            self._beyond[key] = (*self._beyond.get(key, ()), *names)
        else:
            self._take_out(key)
            files = (number,) if before is None else (*before.files, number)
            self._waiting[key] = _Entry(kept, files)
        for name in names:
            self._names.setdefault(name, set()).add(key)
        self._due.set()
        return True

    def _take_out(self, key: Key) -> _Entry | None:
        entry = self._waiting.pop(key, None)
        if entry is not None and key not in self._beyond:
            self._forget(key, entry.kept.names)
        return entry

    def _forget(self, key: Key, names: tuple[str, ...]) -> None:
        for name in names:
            keys = self._names.get(name)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._names[name]

    def _is_over(self, key: Key) -> None:
        entry = self._take_out(key)
        if entry is not None:
            for number, notes in Counter(entry.files).items():
                self._log.let_go(number, notes)

    async def flush(self) -> bool:
        """Writes all that waits now; whether the database has it. Never raises."""
        async with self._writing:
            due = len(self._waiting)
            try:
                while due > 0 and self._waiting:
                    due -= await self._write_batch()
                if self._left_to_log:
                    await self._catch_up()
            except Exception as error:  # noqa: BLE001  all of it waits for the next try
                self._failed(error)
                return False
        return True

    async def _write_batch(self) -> int:
        batch = list(islice(self._waiting.items(), _AT_ONCE))
        await write_notes(
            self._store, [(tenant, entry.kept) for (tenant, _), entry in batch], self._failed
        )
        for key, entry in batch:
            # A newer note of the same response may have come in between.
            if self._waiting.get(key) is entry:
                self._is_over(key)
        return len(batch)

    async def _catch_up(self) -> None:
        """Reads back from the journal what the queue had no room for, a little at a time."""
        left, beyond = Counter(self._left_to_log), dict(self._beyond)
        self._log.settle()
        for number, counted in sorted(left.items()):
            async for notes in self._log.read(number):
                await write_notes(self._store, merge_notes(notes), self._failed)
            self._left_to_log -= Counter({number: counted})
            self._log.let_go(number, counted)
        for key, names in beyond.items():
            if self._beyond.get(key) == names:
                del self._beyond[key]
                if key not in self._waiting:
                    self._forget(key, names)

    async def run(self) -> None:
        """Writes notes as they come, until it is cancelled."""
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            if await self.flush():
                failures = 0
                await asyncio.sleep(_SPREAD_S)
                continue
            self._due.set()
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            failures += 1

    # --- the store, with what is on its way to it

    async def put(
        self,
        tenant: str,
        kept: Kept,
        renewed: tuple[str, ...] = (),
        patience_s: float | None = None,
    ) -> None:
        """Keeps a response, in the place of one with its id."""
        await self._store.put(tenant, kept, renewed, patience_s)

    async def get(self, tenant: str, response_id: str) -> Kept | None:
        """The response, without its items' ids."""
        entry = self._waiting.get((tenant, response_id))
        if entry is not None:
            return structs.replace(entry.kept, items=(), lasting=())
        found = await self._store.get(tenant, response_id)
        if found is None and self._again_s:
            await asyncio.sleep(self._again_s)
            found = await self._store.get(tenant, response_id)
        return found

    async def chain(self, tenant: str, response_id: str, most: int) -> tuple[Link, ...]:
        """The response, what it continues, and so on; one that a provider keeps stands alone."""
        entry = self._waiting.get((tenant, response_id))
        if entry is not None:
            return (_link(entry.kept),)
        found = await self._store.chain(tenant, response_id, most)
        if not found and self._again_s:
            await asyncio.sleep(self._again_s)
            found = await self._store.chain(tenant, response_id, most)
        return found

    async def contents(self, tenant: str, response_ids: tuple[str, ...]) -> dict[str, Content]:
        """What was said in each of the responses that are kept here."""
        return await self._store.contents(tenant, response_ids)

    async def holders(self, tenant: str, item_ids: tuple[str, ...]) -> dict[str, Link]:
        """Item → the newest response that it stands in; unknown ones are left out."""
        # Looked at first: in between a note may come to the store, and is gone from here.
        queued = {
            name: _link(self._waiting[key].kept)
            for name in item_ids
            for key in self._names.get(name, ())
            # One that the journal alone has is looked for in the store.
            if key[0] == tenant and key[1] != name and key in self._waiting
        }
        return await self._store.holders(tenant, item_ids) | queued

    async def places(self, tenant: str, item_id: str) -> frozenset[str]:
        """The responses in which an item stands."""
        return await self._store.places(tenant, item_id)

    async def strangers(
        self, tenant: str, ids: tuple[str, ...], *, elsewhere: bool = False
    ) -> frozenset[str]:
        """Those of the ids, of responses or items, that other tenants have; it says not who."""
        queued = {
            name for name in ids if any(key[0] != tenant for key in self._names.get(name, ()))
        }
        return await self._store.strangers(tenant, ids, elsewhere=elsewhere) | queued

    async def held(self, tenant: str) -> Held:
        """What is kept here for the tenant."""
        return await self._store.held(tenant)

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Removes the response; whether there was one."""
        key = tenant, response_id
        queued = key in self._waiting or key in self._beyond
        # The store must have it to know that it is gone, however late a note of it comes there.
        if queued and not await self.flush():
            raise HouseError(
                "overloaded",
                "What is noted of the response has not come to the database yet; try again.",
                code="database_error",
            )
        return await self._store.delete(tenant, response_id) or queued

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` responses that have expired, of any tenant."""
        return await self._store.expire(most)


def _link(kept: Kept) -> Link:
    return Link(kept.id, None, 0, here=False, provider=kept.provider, credential=kept.credential)
