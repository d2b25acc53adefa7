"""Lists in pages: what a query may say of any list, and a page as it is answered (``core/cursor.py``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dragoman.core.cursor import LONGEST, cursor_of, place_of
from dragoman.core.errors import CallerError, invalid

__all__ = ["MOST", "Asked", "Listed", "Strict", "Word", "page_of", "place_of", "said_wrong"]

T = TypeVar("T")
R = TypeVar("R")

_FEW = 100
MOST = 1000

Word = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A name or an id: no control character gets to a database or a log."""


class Strict(BaseModel):
    """What a caller says: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Asked(BaseModel):
    """What a query may say of any list."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    limit: int = Field(_FEW, ge=1, le=MOST, description="Rows of one page")
    cursor: str | None = Field(
        None, max_length=LONGEST, description="`next_cursor` of the page before"
    )


class Listed(BaseModel, Generic[T]):
    """One page."""

    object: Literal["list"] = "list"
    data: list[T]
    has_more: bool = Field(description="Whether there is a next page")
    next_cursor: str | None = Field(description="Where it begins; null at the end")


def page_of(
    rows: Sequence[R], limit: int, show: Callable[[R], T], place: Callable[[R], object]
) -> Listed[T]:
    """A page of rows, of which one more was fetched than it may have."""
    shown = rows[:limit]
    more = len(rows) > limit
    cursor = None
    if more:
        cursor = cursor_of(place(shown[-1]))
    return Listed(data=[show(row) for row in shown], has_more=more, next_cursor=cursor)


_CODES = {
    "missing": "missing_required_field",
    "extra_forbidden": "invalid_request",
}


def said_wrong(errors: Sequence[Any]) -> CallerError:
    """A refusal that names the first member that is wrong; what was said there is not repeated (K7)."""
    first = errors[0]
    where, *steps = first["loc"]
    param = ".".join(str(step) for step in steps) or str(where)
    kind = str(first["type"])
    code = _CODES.get(
        kind, "invalid_field_type" if kind.endswith("_type") else "invalid_field_value"
    )
    match kind:
        case "missing":
            message = f"{param} required: say it in the {where}."
        case "extra_forbidden":
            message = f"{param[:100]!a} is no member that can be said here."
        case _:
            message = f"{param[:100]}: {first['msg']}."
    return invalid(message, param[:100] if param.isprintable() else None, code)
