"""A store of responses in a dictionary, for tests of what uses one; it can be told to fail."""

from msgspec import structs

from dragoman.core.errors import HouseError
from dragoman.keeping.ports import Content, Held, Kept, Link


class MemoryResponses:
    """Everything by tenant and id."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Kept] = {}
        self.lasting: dict[tuple[str, str], Kept] = {}
        self.deleted: dict[tuple[str, str], float] = {}
        self.asked = 0
        self.notes = 0
        self.renewed: tuple[str, ...] = ()
        self.broken: Exception | None = None

    def _look(self) -> None:
        self.asked += 1
        if self.broken is not None:
            raise self.broken

    def fail(self) -> None:
        self.broken = HouseError("overloaded", "The database is gone.", code="database_error")

    async def put(
        self,
        tenant: str,
        kept: Kept,
        renewed: tuple[str, ...] = (),
        patience_s: float | None = None,
    ) -> None:
        self._look()
        self._take(tenant, kept)
        self.renewed = renewed

    def _take(self, tenant: str, kept: Kept) -> None:
        before = self.rows.get((tenant, kept.id))
        if before is not None and kept.content is None:
            both = tuple(dict.fromkeys((*before.items, *kept.items)))
            kept = structs.replace(kept, items=both)
        for name in kept.lasting:
            self.lasting[tenant, name] = kept
        if kept.created <= self.deleted.get((tenant, kept.id), -1):
            return
        self.rows[tenant, kept.id] = structs.replace(kept, lasting=())

    async def get(self, tenant: str, response_id: str) -> Kept | None:
        self._look()
        return self.rows.get((tenant, response_id))

    async def chain(self, tenant: str, response_id: str, most: int) -> tuple[Link, ...]:
        self._look()
        found: list[Link] = []
        name: str | None = response_id
        while name is not None and (tenant, name) in self.rows and len(found) < most:
            row = self.rows[tenant, name]
            found.append(_link(row))
            name = row.previous
        return tuple(found)

    async def contents(self, tenant: str, response_ids: tuple[str, ...]) -> dict[str, Content]:
        self._look()
        rows = {name: self.rows.get((tenant, name)) for name in response_ids}
        return {name: row.content for name, row in rows.items() if row and row.content}

    async def holders(self, tenant: str, item_ids: tuple[str, ...]) -> dict[str, Link]:
        self._look()
        found = {
            name: structs.replace(_link(row), id=name)
            for (owner, name), row in self.lasting.items()
            if owner == tenant and name in item_ids
        }
        for (owner, _), row in self.rows.items():
            found |= {
                item: _link(row) for item in row.items if owner == tenant and item in item_ids
            }
        return found

    def note(self, tenant: str, kept: Kept) -> bool:
        if self.broken is None:
            self._take(tenant, kept)
            self.notes += 1
        return self.broken is None

    async def places(self, tenant: str, item_id: str) -> frozenset[str]:
        self._look()
        rows = self.rows.items()
        return frozenset(
            name for (owner, name), row in rows if owner == tenant and item_id in row.items
        )

    async def strangers(
        self, tenant: str, ids: tuple[str, ...], *, elsewhere: bool = False
    ) -> frozenset[str]:
        self._look()
        theirs = {
            name
            for (owner, response), row in self.rows.items()
            if owner != tenant and not (elsewhere and row.content)
            for name in (response, *row.items)
        }
        theirs |= {name for owner, name in self.lasting if owner != tenant}
        return frozenset(theirs.intersection(ids))

    async def held(self, tenant: str) -> Held:
        self._look()
        mine = [row.content for (owner, _), row in self.rows.items() if owner == tenant]
        sizes = [len(content.input) + len(content.reply) for content in mine if content]
        return Held(len(sizes), sum(sizes))

    async def delete(self, tenant: str, response_id: str) -> bool:
        self._look()
        gone = self.rows.pop((tenant, response_id), None)
        if gone is not None and gone.content is None:
            self.deleted[tenant, response_id] = gone.created
        return gone is not None

    async def expire(self, most: int) -> int:
        self._look()
        return 0 * most


def _link(row: Kept) -> Link:
    here = row.content
    size = 0 if here is None else len(here.input) + len(here.reply)
    return Link(row.id, row.previous, size, here is not None, row.provider, row.credential)
