"""A page of a list of items, as ``GET /v1/responses/{id}/input_items`` gives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid
from dragoman.keeping.items import Item

MOST = 100


class PageQuery(Struct, frozen=True):
    """Which page is wanted."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    """The id of the last item of the page before."""


class Page(Struct, frozen=True):
    """One page, in the words of OpenAI's lists."""

    object: Literal["list"]
    data: tuple[Raw, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


def read_query(query: Mapping[str, str]) -> PageQuery:
    """The page that a query string asks for; ``include`` needs nothing, as all is shown that is kept.

    Raises:
        CallerError: a parameter has a value that it cannot have.
    """
    said = query.get("limit", "20")
    limit = int(said) if said.isascii() and said.isdigit() and len(said) < 9 else 0
    if not 1 <= limit <= MOST:
        raise invalid(
            f"limit must be a number from 1 to {MOST}, not {said[:20]!r}.",
            "limit",
            "invalid_field_value",
        )
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise invalid(
            f"order must be asc or desc, not {order[:20]!r}.", "order", "invalid_field_value"
        )
    return PageQuery(limit, cast("Literal['asc', 'desc']", order), query.get("after"))


def unknown_after(after: str) -> CallerError:
    """What is said of a page that would begin behind an item that is not there."""
    return invalid(
        f"after names {after[:80]!r}, which is none of these items.",
        "after",
        "invalid_field_value",
    )


def cut_page(items: Sequence[Item], query: PageQuery) -> Page:
    """The page that begins with ``items``, which are in the order of the page; one more says so."""
    shown = items[: query.limit]
    return Page(
        object="list",
        data=tuple(Raw(item.raw) for item in shown),
        first_id=shown[0].id if shown else None,
        last_id=shown[-1].id if shown else None,
        has_more=len(items) > query.limit,
    )


def write_page(page: Page) -> bytes:
    """The page as JSON."""
    return msgspec.json.encode(page)
