"""Whether a provider's key looks like one: what ``doctor`` and ``validate`` say (R-ADD-008, D15).

Never a refusal: providers change their keys' form, and compatible servers take anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.catalog.load import key_source
from dragoman.catalog.schema import Definition


def diagnose_key(definition: Definition, env: Mapping[str, str]) -> str | None:
    """One sentence on what is wrong with the provider's key, and where it is looked for; None: nothing."""
    places = " or ".join(definition.env.key)
    if not places or definition.listed_by:  # whose key it is says so once
        return None
    source = key_source(definition, env)
    if source is None:
        if not definition.auth.required:
            return None
        return f"{definition.name}: no key; it is looked for in {places}."
    form = definition.key_format
    for key in (item.strip() for item in env[source].split(",")):
        if not key:
            continue
        if form.prefix and not key.startswith(form.prefix):
            return (
                f"{definition.name}: the key in {source} has the wrong prefix; "
                f"its keys begin with {form.prefix}."
            )
        if len(key) < form.min_length:
            return (
                f"{definition.name}: the key in {source} is too short; "
                f"its keys have at least {form.min_length} characters."
            )
    return None


def mask(key: str) -> str:
    """What may be shown of a key: its first six and last four characters, of a short one nothing (R-ADD-009)."""
    return f"{key[:6]}****{key[-4:]}" if len(key) >= 24 else "****"


def wrong_form(definition: Definition, key: str) -> str | None:
    """What makes a key that is handed in no key of the provider's; None: it looks like one."""
    form = definition.key_format
    if form.prefix and not key.startswith(form.prefix):
        return f"keys of {definition.name} begin with {form.prefix}"
    if len(key) < form.min_length:
        return f"keys of {definition.name} have at least {form.min_length} characters"
    return None
