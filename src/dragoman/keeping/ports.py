"""What is kept of responses, and what keeping needs of a store.

Everything is asked for by tenant: what belongs to another is not there (`reliability.md` A21). Only
``strangers`` looks beyond, to tell an id that somebody else has from one that nobody has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct


class Content(Struct, frozen=True):
    """What was said; it stands sealed in the store, and in no log."""

    input: bytes
    """The items that were new with this response, as a JSON array."""
    reply: bytes
    """The response as its caller got it."""

    def __repr__(self) -> str:
        return f"Content({len(self.input)}, {len(self.reply)})"


class Kept(Struct, frozen=True):
    """A response that can be asked for again; times are Unix seconds.

    Without ``content`` the provider keeps it, and only that is known: whose it is, who has it,
    and with which of our credentials to ask for it.
    """

    id: str
    created: float
    expires: float
    provider: str
    credential: str | None = None
    previous: str | None = None
    """The response that it continues, if that is kept here too."""
    content: Content | None = None
    items: tuple[str, ...] = ()
    """Ids of the items that may be referred to; they go with the response."""
    lasting: tuple[str, ...] = ()
    """Ids of what its provider keeps beyond it: a conversation with all in it, containers."""

    @property
    def names(self) -> tuple[str, ...]:
        """All ids that are its tenant's by it."""
        return (self.id, *self.items, *self.lasting)


class Link(Struct, frozen=True):
    """One response, without what was said."""

    id: str
    previous: str | None
    size: int
    """Bytes of its content."""
    here: bool
    """Whether its content is kept here."""
    provider: str
    credential: str | None = None


class Held(Struct, frozen=True):
    """How much is kept here for a tenant."""

    responses: int
    size: int
    """Bytes of their content, before it was sealed."""


class Note(Struct, frozen=True, array_like=True, tag="n"):
    """A response that its provider keeps, as it stands in a journal until the store has it."""

    tenant: str
    id: str
    created: float
    expires: float
    provider: str
    credential: str | None
    items: tuple[str, ...]
    lasting: tuple[str, ...] = ()

    def kept(self) -> Kept:
        """The note as the store takes it."""
        return Kept(
            id=self.id,
            created=self.created,
            expires=self.expires,
            provider=self.provider,
            credential=self.credential,
            items=self.items,
            lasting=self.lasting,
        )


def note_of(tenant: str, kept: Kept) -> Note:
    """What a journal has of a response that its provider keeps."""
    return Note(
        tenant,
        kept.id,
        kept.created,
        kept.expires,
        kept.provider,
        kept.credential,
        kept.items,
        kept.lasting,
    )


class NoteLog(Protocol):
    """The journal of notes: what it has taken survives the end of this process, however it ends."""

    @property
    def full(self) -> bool:
        """Whether the disk has refused the last note."""
        ...

    def append(self, note: Note) -> int:
        """Writes a note, and says in which file; what the disk refuses waits in memory."""
        ...

    def let_go(self, number: int, notes: int) -> None:
        """The store has so many notes of that file."""
        ...

    def settle(self) -> None:
        """All that was taken stands in its file from now on, and what comes goes to another.

        Raises:
            OSError: the disk takes nothing.
        """
        ...

    def read(self, number: int) -> AsyncIterator[list[Note]]:
        """The notes of a file in their order, some at a time."""
        ...


class ResponseStore(Protocol):
    """Keeps responses. What has expired is not there, whether or not it was removed yet.

    A ``HouseError`` means that the store cannot be reached, or cannot open what it has.
    """

    async def put(
        self,
        tenant: str,
        kept: Kept,
        renewed: tuple[str, ...] = (),
        patience_s: float | None = None,
    ) -> None:
        """Keeps a response, in the place of one with its id; ``renewed`` live as long as it does.

        One without content leaves to its id the items that it had: more of them come with time.

        Raises:
            TimeoutError: its turn had not come within ``patience_s``, and will not come.
        """
        ...

    async def get(self, tenant: str, response_id: str) -> Kept | None:
        """The response, without its items' ids."""
        ...

    async def chain(self, tenant: str, response_id: str, most: int) -> tuple[Link, ...]:
        """The response, what it continues, and so on, the newest first; at most ``most`` of them.

        The last one has a ``previous`` where the chain is longer, or broken.
        """
        ...

    async def contents(self, tenant: str, response_ids: tuple[str, ...]) -> dict[str, Content]:
        """What was said in each of the responses that are kept here."""
        ...

    async def holders(self, tenant: str, item_ids: tuple[str, ...]) -> dict[str, Link]:
        """Item → the newest response that it stands in; unknown ones are left out.

        What outlives its response is there without one, as if it were its own.
        """
        ...

    async def places(self, tenant: str, item_id: str) -> frozenset[str]:
        """The responses in which an item stands."""
        ...

    async def strangers(
        self, tenant: str, ids: tuple[str, ...], *, elsewhere: bool = False
    ) -> frozenset[str]:
        """Those of the ids, of responses or items, that other tenants have; it says not who.

        With ``elsewhere`` only those that a provider keeps for them.
        """
        ...

    async def held(self, tenant: str) -> Held:
        """What is kept here for the tenant."""
        ...

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Removes the response; whether there was one. What outlives it stays its tenant's."""
        ...

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` responses that have expired, of any tenant; how many it were."""
        ...


class NotingStore(ResponseStore, Protocol):
    """A store that is also told what providers keep, without anybody waiting for it."""

    def note(self, tenant: str, kept: Kept) -> bool:
        """Takes a response without content, which is there from now on; whether it could.

        In other processes it is there a moment later. Never waits, and never raises.
        """
        ...
