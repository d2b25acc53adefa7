"""What the query of a report says, read strictly: by what, of which span, of what alone, in which form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from dragoman.accounting.ports import Scope
from dragoman.accounting.question import Dimension, Question
from dragoman.accounting.report import parse_moment
from dragoman.core.cursor import LONGEST
from dragoman.core.errors import invalid

Form: TypeAlias = Literal["json", "csv", "jsonl"]
Sort: TypeAlias = Literal["name", "cost"]

MOST_LINES = 100_000
FEW_LINES = 100
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
OWN: tuple[Dimension, ...] = tuple(name for name in DIMENSIONS if name != "tenant")
"""What a caller may ask of its own use by."""
REQUEST = "request"
FILTERS = ("tenant", "key_id", "provider", "model", "caller", "root", "project", "user", "tag")
ONLY = FILTERS[2:]
_LONGEST_WORD = 256


class Asked(Struct, frozen=True):
    """A report as it is asked for."""

    group: tuple[Dimension, ...] = ()
    """Empty: totals alone."""
    calls: bool = False
    """A row for each call, in the place of sums."""
    limit: int | None = None
    """None: as many as the form has by itself."""
    cursor: str | None = None
    form: Form = "json"
    sort: Sort = "name"
    since_us: int | None = None
    until_us: int | None = None
    tenant: str | None = None
    key_id: str | None = None
    provider: str | None = None
    model: str | None = None
    caller: str | None = None
    root: str | None = None
    project: str | None = None
    user: str | None = None
    tag: str | None = None

    def question(self, scope: Scope) -> Question:
        """The question to the sums of a scope."""
        return Question(scope, self.group, **{name: getattr(self, name) for name in ONLY})


def parse_asked(
    query: Mapping[str, str], dimensions: tuple[Dimension, ...] = OWN, *, wide: bool = False
) -> Asked:
    """Reads a query; ``wide``: it may name a tenant and a key.

    Raises:
        CallerError: names what is wrong.
    """
    group, calls = _group(query.get("group") or "", dimensions)
    since, until = (parse_moment(name, query.get(name)) for name in ("since", "until"))
    if since is not None and until is not None and since > until:
        raise invalid("since is later than until; swap them.", "since")
    form = _one_of(query, "format", get_args(Form)) or "json"
    if form == "jsonl" and not calls:
        raise invalid(
            "format is 'jsonl', which is for group=request; sums come as json or csv.", "format"
        )
    by_time = "day" in group or "month" in group
    sort = _one_of(query, "sort", get_args(Sort)) or ("name" if by_time else "cost")
    cursor = query.get("cursor") or None
    if cursor is not None and len(cursor) > LONGEST:
        raise invalid("cursor is none that a page of this list gave.", "cursor")
    return Asked(
        group=group,
        calls=calls,
        limit=_limit(query.get("limit")),
        cursor=cursor,
        form=msgspec.convert(form, Form),
        sort=msgspec.convert(sort, Sort),
        since_us=since,
        until_us=until,
        **{name: _word(query, name, wide=wide) for name in FILTERS},
    )


def _group(text: str, dimensions: tuple[Dimension, ...]) -> tuple[tuple[Dimension, ...], bool]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == [REQUEST]:
        return (), True
    for word in words:
        if word not in dimensions:
            raise invalid(
                f"group is {word[:40]!r}; it must be {REQUEST}, or of "
                f"{', '.join(dimensions)} some with commas between them.",
                "group",
            )
    if words == ["model"]:
        # The same id may mean two things at two providers.
        words = ["provider", "model"]
    return tuple(msgspec.convert(word, Dimension) for word in dict.fromkeys(words)), False


def _one_of(query: Mapping[str, str], name: str, words: tuple[str, ...]) -> str | None:
    said = query.get(name) or None
    if said is not None and said not in words:
        raise invalid(f"{name} is {said[:40]!r}; it must be {' or '.join(words)}.", name)
    return said


def _word(query: Mapping[str, str], name: str, *, wide: bool) -> str | None:
    said = query.get(name) or None
    if said is None:
        return None
    if name in {"tenant", "key_id"} and not wide:
        raise invalid(
            f"{name} cannot be said here: these are the presented key's own calls.", name
        )
    if len(said) > _LONGEST_WORD or not said.isprintable():
        raise invalid(f"{name} is no name: it may have {_LONGEST_WORD} visible characters.", name)
    return said


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MOST_LINES:
        return int(text)
    raise invalid(
        f"limit is {text[:40]!r}; it must be a whole number from 1 to {MOST_LINES}.", "limit"
    )
