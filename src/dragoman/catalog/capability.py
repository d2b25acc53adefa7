"""From a model's id to what it accepts: the rules of ``capabilities.toml``, applied.

Unknown models get nothing optional and nothing taken away; an unknown ``claude-…`` is taken for
a modern one (P166). Whatever stands behind the name that a rule knows does not matter, for ids
carry dates, suffixes and variants.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.catalog.files import capability_rules
from dragoman.catalog.schema import read_strictly
from dragoman.core.capability import Capability
from dragoman.core.provider import Family


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """Facts, and for whom they hold; what is empty holds for all."""

    facts: dict[str, Any]
    family: str = ""
    flavour: str = ""
    match: str = ""


@cache
def _rules() -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    found = []
    for number, table in enumerate(capability_rules(), 1):
        rule = read_strictly(Rule, table, f"capabilities.toml, rule {number}")
        read_strictly(Capability, rule.facts, f"capabilities.toml, facts of rule {number}")
        found.append((rule, re.compile(rule.match)))
    return tuple(found)


@lru_cache(maxsize=4096)
def capability_of(
    family: Family, flavour: str, model: str, context_tokens: int | None = None
) -> Capability:
    """What a model of that id accepts at a provider of that family and flavour."""
    name = model.lower().rsplit("/", 1)[-1]
    facts: dict[str, Any] = {"context_tokens": context_tokens}
    for rule, pattern in _rules():
        if rule.family and rule.family != family:
            continue
        if rule.flavour and rule.flavour != flavour:
            continue
        if pattern.search(name):
            facts.update(rule.facts)
    return msgspec.convert(facts, Capability)
