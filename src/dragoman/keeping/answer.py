"""What is said of a response that the gateway keeps: itself, its stream, its items, its end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from dragoman.core.errors import CallerError, invalid
from dragoman.dialects.framing.sse import SseFrames
from dragoman.keeping.aside import aside
from dragoman.keeping.items import Item, is_id, read_items
from dragoman.keeping.keeper import Keeper
from dragoman.keeping.page import cut_page, read_query, unknown_after, write_page
from dragoman.keeping.ports import Content, Kept
from dragoman.keeping.recall import conversation


class _Numbered(msgspec.Struct):
    sequence_number: int = -1


_NUMBERED = msgspec.json.Decoder(_Numbered)
_AT_ONCE = 4 * 1024 * 1024
"""Bytes of responses that are opened at once, for a page."""


async def find(response_id: str, tenant: str, keeper: Keeper) -> Kept:
    """What is known of the response.

    Raises:
        CallerError: the tenant has none of that id.
    """
    found = await keeper.store.get(tenant, response_id) if is_id(response_id) else None
    if found is None:
        raise no_such(response_id)
    return found


def no_such(response_id: str) -> CallerError:
    """What is said of an id that the tenant does not have, whoever else may."""
    return CallerError(
        "not_found",
        f"Response with id '{response_id[:80]}' not found.",
        code="response_not_found",
        param="response_id",
    )


async def list_items(kept: Kept, query: Mapping[str, str], tenant: str, keeper: Keeper) -> bytes:
    """A page of all that was said before the response, the responses before it included.

    Of these only those are opened that the page is made of.

    Raises:
        CallerError: the query is wrong.
    """
    wanted = read_query(query)
    assert kept.content is not None, "it is kept here"
    chain = await keeper.store.chain(tenant, kept.id, keeper.policy.most_turns)
    # A chain that has lost its beginning still has an end.
    links = [link for link in chain[1:] if link.here]
    sizes = {link.id: link.size for link in links}
    sizes = {kept.id: len(kept.content.input), **sizes}
    names = list(sizes) if wanted.order == "desc" else list(reversed(sizes))
    if wanted.after is not None:
        names = await _from(wanted.after, names, tenant, keeper)
    found: list[Item] = []
    waits = wanted.after
    while names and len(found) <= wanted.limit:
        some = _portion(names, sizes, wanted.limit + 1 - len(found))
        names = names[len(some) :]
        before = tuple(name for name in some if name != kept.id)
        contents = await keeper.store.contents(tenant, before) if before else {}
        size = sum(sizes[name] for name in some)
        spoken = await aside(size, partial(_said, some, kept, contents))
        for said in spoken:
            ordered = said if wanted.order == "asc" else said[::-1]
            if waits is not None:
                places = [place for place, item in enumerate(ordered) if item.id == waits]
                if not places:
                    continue
                found += ordered[places[0] + 1 :]
                waits = None
            else:
                found += ordered
    if waits is not None:
        raise unknown_after(waits)
    return write_page(cut_page(found, wanted))


async def _from(after: str, names: list[str], tenant: str, keeper: Keeper) -> list[str]:
    """The responses from the first on in which the item stands."""
    places = await keeper.store.places(tenant, after) if is_id(after) else frozenset()
    starts = [place for place, name in enumerate(names) if name in places]
    if not starts:
        raise unknown_after(after)
    return names[starts[0] :]


def _portion(names: list[str], sizes: Mapping[str, int], items: int) -> list[str]:
    """The next responses to open, if so many items are wanted: most have two, a question and an answer."""
    some: list[str] = []
    size = 0
    for name in names[: (items + 1) // 2]:
        size += sizes[name]
        if some and size > _AT_ONCE:
            break
        some.append(name)
    return some


def _said(names: list[str], kept: Kept, contents: Mapping[str, Content]) -> list[list[Item]]:
    """What was said in each response, in its order; of the one that is asked about, before it."""
    assert kept.content is not None, "it is kept here"
    # Others may have just been deleted.
    return [
        list(read_items(kept.content.input))
        if name == kept.id
        else conversation([contents[name]])
        if name in contents
        else []
        for name in names
    ]


def replay(frames: bytes, query: Mapping[str, str]) -> bytes:
    """The events of a finished response behind the one that the query names; ``frames`` are all.

    Raises:
        CallerError: ``starting_after`` is no number.
    """
    said = query.get("starting_after")
    if said is None:
        return frames
    if not (said.isascii() and said.isdigit() and len(said) < 9):
        raise invalid(
            f"starting_after must be a sequence number, not {said[:20]!r}.",
            "starting_after",
            "invalid_field_value",
        )
    cut = SseFrames()
    found = [*cut.feed(frames), *cut.close()]
    later = [frame.raw for frame in found if _number(frame.data) > int(said)]
    return b"".join(later)


def _number(data: bytes) -> int:
    return _NUMBERED.decode(data).sequence_number if data.startswith(b"{") else -1


def deleted(response_id: str) -> bytes:
    """What is said once it is gone."""
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def not_in_background(response_id: str) -> CallerError:
    """What is said to who would cancel a response that is finished, as all are that we keep."""
    return CallerError(
        "invalid_request",
        f"Cannot cancel a synchronous response: {response_id[:80]} is finished.",
        code="response_not_cancellable",
        param="response_id",
    )
