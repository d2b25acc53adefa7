"""What is written down of how a call was routed: who stood in line, by what order, who was left out.

Most calls name one model, and then there is nothing to tell that the attempt does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from dragoman.accounting.fitting import LONGEST_NAME, fit
from dragoman.core.provider import Plan, Skipped


class LeftOut(Struct, frozen=True, array_like=True):
    """A model that might have been asked and was not, and why."""

    model: str
    reason: str


class Choice(Struct, frozen=True, omit_defaults=True):
    """How it was chosen who is tried; models are ``provider/model``."""

    candidates: tuple[str, ...] = ()
    """In the order in which they would be tried, each once, whatever number of keys it has."""
    strategy: str | None = None
    """None: they stand as they were named."""
    skipped: tuple[LeftOut, ...] = ()
    resting: tuple[str, ...] = ()
    """Candidates that stand at the end because they have failed of late, or have to wait."""
    passed: tuple[LeftOut, ...] = ()
    """Candidates that were not asked when their turn came."""


NO_CHOICE = Choice()
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Choice)


def choice_text(plan: Plan | None, passed: Sequence[Skipped] = ()) -> str:
    """The choice that a plan was, as JSON; empty where there was none.

    ``passed`` are candidates whose turn came and who were not asked.
    """
    if plan is None or (len(plan.candidates) == 1 and not plan.skipped):
        return ""
    choice = Choice(
        tuple(dict.fromkeys(_fit(candidate.name) for candidate in plan.candidates)),
        plan.strategy,
        tuple(LeftOut(_fit(each.name), fit(each.reason)) for each in plan.skipped),
        tuple(map(_fit, plan.resting)),
        tuple(LeftOut(_fit(each.name), fit(each.reason)) for each in passed),
    )
    return _ENCODER.encode(choice).decode() if choice != NO_CHOICE else ""


def read_choice(text: str) -> Choice:
    """What ``choice_text`` has written; nothing where there was none."""
    if not text:
        return NO_CHOICE
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return NO_CHOICE


def _fit(name: str) -> str:
    """As an attempt's own model is written: names are foreign."""
    head, sign, model = name.partition("/")
    return f"{head}{sign}{fit(model, LONGEST_NAME)}" if sign else fit(name, LONGEST_NAME)
