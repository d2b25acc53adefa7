"""Names that stand for several models, as two groups of commands manage them: the gateway's, and a tenant's."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, TypeAlias

import typer

from dragoman.cli.managing import listed
from dragoman.cli.output import USAGE, fail, say, say_json, table

__all__ = [
    "CandidatesArgument",
    "NameArgument",
    "Strategy",
    "StrategyOption",
    "body",
    "show",
    "tell",
]


class Strategy(Enum):
    """How one of several is chosen."""

    cost = "cost"
    latency = "latency"
    quality = "quality"
    weighted = "weighted"
    round_robin = "round-robin"
    least_busy = "least-busy"
    sticky = "sticky"


NameArgument: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="What callers say.")]
CandidatesArgument: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Each model, or MODEL=WEIGHT.")
]
StrategyOption: TypeAlias = Annotated[
    Strategy | None, typer.Option(help="How one of them is chosen. [in their order]")
]


def body(candidates: list[str], strategy: Strategy | None, *, as_json: bool) -> dict[str, Any]:
    """What the admin API is told."""
    said: dict[str, Any] = {"candidates": _candidates_of(candidates, as_json=as_json)}
    return said if strategy is None else {**said, "strategy": strategy.value}


def show(title: str, member: str, path: str, base_url: str, key: str, *, as_json: bool) -> None:
    """All of them."""
    found = listed(path, base_url, key, as_json=as_json)
    if as_json:
        say_json({member: found})
        return
    rows = [
        (each["name"], _line(each["candidates"]), each["strategy"] or "in order") for each in found
    ]
    table(title, ("name", "models", "chosen"), rows)


def tell(found: dict[str, Any], *, as_json: bool) -> None:
    """One that is set now."""
    if as_json:
        say_json(found)
    else:
        how = found["strategy"] or "in order"
        say(f"{found['name']} chooses among {_line(found['candidates'])} ({how}).")


def _candidates_of(said: list[str], *, as_json: bool) -> list[dict[str, Any]]:
    """Models that a route chooses among, ``MODEL`` or ``MODEL=WEIGHT``, as the admin API takes them."""
    found: list[dict[str, Any]] = []
    for each in said:
        model, _, weight = each.partition("=")
        if weight and not (weight.isascii() and weight.isdigit() and int(weight)):
            fail(f"{each!r}: a weight is a whole number from 1.", as_json=as_json, code=USAGE)
        found.append({"model": model, "weight": int(weight or 1)})
    return found


def _line(candidates: list[dict[str, Any]]) -> str:
    """The same for people."""
    return ", ".join(
        each["model"] if each["weight"] == 1 else f"{each['model']}={each['weight']}"
        for each in candidates
    )
