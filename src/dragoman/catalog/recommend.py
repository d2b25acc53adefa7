"""Which model suits a task, and why: from what is known of models, what they cost and how they are doing; pure.

A task says what a model must be able to do, how much it reads and writes, and what counts: quality (the
ranks of ``ranks.toml``), price, speed. Each counts from 0 to 1, by its weight; how well a provider has been
doing scales the whole. Every model that is left out is named with the reason, and every score with its
parts: a recommendation that cannot be checked is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from dragoman.catalog.price import cost_of_text
from dragoman.core.capability import Capability
from dragoman.core.provider import Operation, Price

MOST = 100
_HIGHEST = 100
_QUICK_TOKENS_S = 200.0
"""Output tokens a second beyond which nobody feels a difference."""
_UNRANKED = 40
_THINKS = ("budget", "adaptive", "both")


class Task(Struct, frozen=True):
    """What is to be done, as far as it tells models apart."""

    name: str
    words: tuple[str, ...]
    """Beginnings of words by which people speak of it."""
    quality: float = 1.0
    cheapness: float = 1.0
    speed: float = 0.5
    needs: tuple[str, ...] = ()
    """Of pictures, sounds, documents, tools, schema, thinking."""
    reads: int = 2_000
    writes: int = 500
    operation: Operation = "chat"


GENERAL = Task("general", ())
TASKS: tuple[Task, ...] = (
    Task("code", ("cod", "program", "debug", "refactor", "software"), 3.0, 0.7, 0.4, ("tools",), 8_000, 2_000),
    Task("agent", ("agent", "tool", "function", "automat"), 2.0, 1.0, 0.6, ("tools",), 10_000, 1_000),
    Task("reasoning", ("reason", "math", "proof", "plan", "logic", "analy"), 4.0, 0.4, 0.2, (), 3_000, 4_000),
    Task("vision", ("vision", "image", "picture", "photo", "screenshot", "ocr"), 1.5, 1.0, 0.5, ("pictures",)),
    Task("audio", ("audio", "speech", "voice", "transcri", "sound"), 1.5, 1.0, 0.5, ("sounds",)),
    Task("documents", ("document", "contract", "pdf", "book", "long"), 1.5, 1.0, 0.3, (), 100_000, 1_500),
    Task("summarize", ("summar", "digest", "tl;dr"), 1.0, 1.5, 0.7, (), 20_000, 600),
    Task("extract", ("extract", "structur", "json", "schema", "parse"), 1.0, 1.5, 0.6, ("schema",), 4_000, 400),
    Task("classify", ("classif", "label", "moderat", "sentiment", "rout"), 0.6, 2.5, 1.0, (), 800, 20),
    Task("translate", ("translat",), 1.5, 1.2, 0.5, (), 2_000, 2_000),
    Task("write", ("writ", "creativ", "story", "essay", "market"), 2.0, 0.8, 0.3, (), 1_500, 2_000),
    Task("chat", ("chat", "convers", "support", "assist", "question"), 1.2, 1.0, 1.0, (), 3_000, 400),
    Task("embeddings", ("embed", "vector", "retriev", "semantic"), 0.5, 2.0, 0.5, (), 1_000, 0, "embeddings"),
)  # fmt: skip
"""Of several that are spoken of, the first counts."""


class Candidate(Struct, frozen=True):
    """A model that could be asked, with all that is known of it."""

    name: str
    operations: tuple[Operation, ...]
    capability: Capability
    price: Price | None = None
    rank: int | None = None
    tokens_per_s: float = 0.0
    """0: nobody knows."""
    score: float = 50.0
    """How well it has been doing, 0 to 100."""
    well: bool = True
    """Whether anybody who has it can be asked now."""
    use: str = ""
    """What it is for, where it is not made for chats."""


class Advice(Struct, frozen=True):
    """A model that suits, and why."""

    model: str
    score: float
    """0 to 100."""
    cost_usd: Decimal | None
    """Of one such call; None: its price is unknown."""
    quality: int | None
    tokens_per_s: float | None
    health: float
    reasons: tuple[str, ...]


class LeftOut(Struct, frozen=True):
    """A model that does not suit, and why."""

    model: str
    reason: str


class Recommendation(Struct, frozen=True):
    """What was understood, and what follows from it."""

    task: str
    recognised: bool
    """Whether any word of it named a task that is known; else it is taken for a general one."""
    needs: tuple[str, ...]
    reads: int
    writes: int
    data: list[Advice]
    left_out: list[LeftOut]


def task_of(text: str) -> Task:
    """The task that is spoken of; the general one where no word of it is known."""
    words = re.findall(r"[a-z][a-z;]*", text.lower())
    for task in TASKS:
        if text.strip().lower() == task.name:
            return task
    for task in TASKS:
        if any(word.startswith(task.words) for word in words):
            return task
    return GENERAL


def recommend(text: str, among: Iterable[Candidate], limit: int = 5) -> Recommendation:
    """The models that suit a task best, the best first; of two that are equal the one by the alphabet."""
    task = task_of(text)
    fit: list[Candidate] = []
    left_out: list[LeftOut] = []
    for each in among:
        reason = _unfit(each, task)
        if reason:
            left_out.append(LeftOut(each.name, reason))
        else:
            fit.append(each)
    costs = {each.name: _cost(each, task) for each in fit}
    known = [cost for cost in costs.values() if cost is not None]
    found = [_advice(each, task, costs[each.name], known) for each in fit]
    found.sort(key=lambda advice: (-advice.score, advice.model))
    return Recommendation(
        task=task.name,
        recognised=task is not GENERAL,
        needs=task.needs,
        reads=task.reads,
        writes=task.writes,
        data=found[:limit],
        left_out=left_out,
    )


def _unfit(each: Candidate, task: Task) -> str:
    able = each.capability
    room = able.context_tokens
    if task.operation not in each.operations:
        return f"its provider serves no {task.operation}"
    embeds = "embed" in each.use
    if (task.operation == "embeddings") != embeds:
        return f"it is made for {each.use}" if each.use else "it makes no embeddings"
    if each.use and not embeds:
        return f"it is made for {each.use}"
    if not each.well:
        return "nobody who has it can be asked now"
    if room is not None and room < task.reads + task.writes:
        return f"it reads {room} tokens, and such a task takes about {task.reads + task.writes}"
    lacks = {
        "pictures": not able.sees,
        "sounds": not able.hears,
        "tools": not able.tools,
        "schema": able.structured_output == "none",
    }
    for need in task.needs:
        if lacks.get(need):
            return f"it takes no {need}"
    return ""


def _cost(each: Candidate, task: Task) -> Decimal | None:
    return None if each.price is None else cost_of_text(task.reads, task.writes, each.price)


def _advice(each: Candidate, task: Task, cost: Decimal | None, known: Sequence[Decimal]) -> Advice:
    quality = (_UNRANKED if each.rank is None else each.rank) / _HIGHEST
    cheapness, price_told = _cheapness(cost, known)
    speed = min(1.0, each.tokens_per_s / _QUICK_TOKENS_S) if each.tokens_per_s else 0.5
    weights = task.quality + task.cheapness + task.speed
    suits = (quality * task.quality + cheapness * task.cheapness + speed * task.speed) / weights
    health = 0.5 + each.score / (2 * _HIGHEST)
    rank = "unknown" if each.rank is None else f"{each.rank} of {_HIGHEST}"
    pace = f"{each.tokens_per_s:.0f} tokens/s" if each.tokens_per_s else "not measured yet"
    reasons = [
        f"quality {rank} (weight {task.quality:g})",
        f"{price_told} (weight {task.cheapness:g})",
        f"speed: {pace} (weight {task.speed:g})",
        f"health {each.score:.0f} of {_HIGHEST}",
    ]
    if each.capability.context_tokens:
        reasons.append(f"reads up to {each.capability.context_tokens} tokens")
    if task.name == "reasoning" and each.capability.thinking in _THINKS:
        reasons.append("thinks before it answers")
    return Advice(
        model=each.name,
        score=round(suits * health * _HIGHEST, 1),
        cost_usd=cost,
        quality=each.rank,
        tokens_per_s=each.tokens_per_s or None,
        health=round(each.score, 1),
        reasons=tuple(reasons),
    )


def _cheapness(cost: Decimal | None, known: Sequence[Decimal]) -> tuple[float, str]:
    """From 0, the dearest, to 1, the cheapest, by orders of magnitude; unknown counts as the dearest."""
    if cost is None:
        return 0.0, "price unknown"
    told = f"about {cost:.6f} USD a call"
    least, most = min(known), max(known)
    if cost <= 0 or least == most:
        return 1.0, told
    floor = max(least, most / 10_000)
    span = math.log(float(most / floor))
    if span <= 0:
        return 1.0, told
    return 1 - math.log(float(max(cost, floor) / floor)) / span, told
