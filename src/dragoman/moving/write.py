"""Writes the ``dragoman.toml`` of a draft, and has it checked as a start would: with its variables set."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from dragoman.assembly.assemble import assemble
from dragoman.config.load import TOP_LEVEL, load_settings, parse_config
from dragoman.config.running import write_whole
from dragoman.core.errors import GatewayError, invalid
from dragoman.moving.draft import Draft, Missed, lay_out
from dragoman.moving.toml_text import toml_text

_KEY = "sk-not-set-0000000000000000000000000000"
_URL = "http://not-set.invalid/v1"
"""Stand for variables that are not set yet, so that the rest can be checked."""


class Written(Struct, frozen=True):
    """What was written, and what was not."""

    counts: dict[str, int]
    """How many providers, aliases and so on."""
    variables: dict[str, str]
    settings: dict[str, str]
    missed: list[Missed]
    errors: list[str]
    """What a start would refuse; the file is written all the same, for a person to mend."""


def write_config(
    draft: Draft, whose: str, source: Path, out: Path, known: tuple[str, ...] = TOP_LEVEL
) -> Written:
    """Writes the file, whole or not at all.

    Raises:
        CallerError: the folder or the disk does not take it.
    """
    laid = lay_out(draft, known)
    comments = [f"Made from {whose}'s {source.name} by `dragoman import`."]
    comments += [f"{name}: {why}" for name, why in draft.variables.items()]
    comments += [f"To be set beside it: {name}={value}" for name, value in draft.settings.items()]
    text = toml_text(laid.tables, tuple(comments))
    errors = trouble(text, str(out), draft)
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise invalid(f"{out} cannot be written: {error.strerror}.") from None
    sections = ("providers", "aliases", "routes", "prices", "tiers", "budgets")
    counts = {name: len(laid.tables.get(name, ())) for name in sections}
    return Written(counts, draft.variables, draft.settings, laid.missed, errors)


def trouble(text: str, where: str, draft: Draft) -> list[str]:
    """What a start would say of the text, were its variables set."""
    for name, why in draft.variables.items():
        text = text.replace(f"${{{name}}}", _URL if why.startswith("the address") else _KEY)
    set_now = dict.fromkeys(draft.variables, _KEY)
    try:
        said = parse_config(text, where)
        settings = load_settings({"mode": "local"}, text=text, table=said)
        assemble(settings, set_now, where=where)
    except GatewayError as error:
        return [error.message]
    return []
