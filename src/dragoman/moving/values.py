"""Values of foreign files, which may be of any type: taken as what is expected, or as nothing."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlsplit

from dragoman.catalog.base_url import clean_base
from dragoman.catalog.schema import CatalogError


def as_table(value: Any) -> dict[str, Any]:
    """The value with its names as text, empty if it is no table."""
    if not isinstance(value, dict):
        return {}
    return {str(name): each for name, each in value.items()}


def as_list(value: Any) -> list[Any]:
    """The value, empty if it is no list."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The value without blanks around it, empty if it is no text."""
    return value.strip() if isinstance(value, str) else ""


def as_number(value: Any) -> int | float | None:
    """The value, or the number that a text says; None if there is none that can be counted with."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value) if isinstance(value, str) else value
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def as_weight(value: Any, *, of_one: bool = False) -> int | None:
    """A share as a whole weight from 1, nothing said being 1; None if it is no number above 0.

    Fractions, and shares of 1 (``of_one``), are kept to the hundredth.
    """
    number = 1 if value is None else as_number(value)
    if number is None or number <= 0:
        return None
    if value is None or (float(number).is_integer() and not of_one):
        return min(1_000_000, int(number))
    return min(1_000_000, max(1, round(number * 100)))


def own_kind(base: str, kind: str) -> str:
    """What a provider of the operator's own is called: by what runs there, else by its host."""
    if kind in {"hosted_vllm", "vllm"}:
        return "vllm"
    if kind in {"lm_studio", "llamafile", "xinference"}:
        return kind.replace("_", "-")
    host = urlsplit(base).netloc.rpartition("@")[2]
    return host or "own"


UNFIT_ADDRESS = (
    "an address is http(s)://host/path: a user, a password or a query in it may be a secret"
)


def is_fit_address(text: str) -> bool:
    """Whether an address may stand in a file: it is one, or a variable, and no secret is in it."""
    if text.startswith("${"):
        return True
    try:
        clean_base(text, (), "it")
    except CatalogError:
        return False
    return True


def without_call(url: str) -> str:
    """An address without the path of a chat that is often a part of it: here it is appended."""
    base = url.strip().rstrip("/")
    for path in ("/chat/completions", "/completions", "/models"):
        base = base.removesuffix(path)
    return base
