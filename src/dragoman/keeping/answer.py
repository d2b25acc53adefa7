"""What is said of a response that the gateway keeps: itself, its stream, its items, its end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dragoman.core.errors import CallerError, invalid
from dragoman.dialects.framing.sse import SseFrames
from dragoman.keeping.items import is_id, read_items
from dragoman.keeping.keeper import Keeper
from dragoman.keeping.page import paginate, read_query, write_page
from dragoman.keeping.ports import Kept
from dragoman.keeping.recall import conversation


class _Numbered(msgspec.Struct):
    sequence_number: int = -1


_NUMBERED = msgspec.json.Decoder(_Numbered)


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

    Raises:
        CallerError: the query is wrong.
    """
    wanted = read_query(query)
    assert kept.content is not None, "it is kept here"
    links = await keeper.store.chain(tenant, kept.id, keeper.policy.most_turns)
    # A chain that has lost its beginning still has an end.
    names = tuple(link.id for link in reversed(links[1:]) if link.here)
    contents = await keeper.store.contents(tenant, names)
    before = conversation(contents[name] for name in names if name in contents)
    return write_page(paginate([*before, *read_items(kept.content.input)], wanted))


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
