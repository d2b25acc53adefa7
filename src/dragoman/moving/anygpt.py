"""AnyGPT's data folder: ``providers.json`` and ``tiers.json`` as a configuration.

Its callers' keys are data and no configuration: ``dragoman import json DIR`` stores them, as digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dragoman.catalog.files import definitions
from dragoman.config.settings import ConfigError
from dragoman.config.tiers import limits_of
from dragoman.core.errors import invalid
from dragoman.moving.draft import Account, Deployment, Draft, Group, named_apart
from dragoman.moving.kinds import BUILT_IN_AT
from dragoman.moving.source import Place, Source, read_source
from dragoman.moving.values import (
    UNFIT_ADDRESS,
    as_list,
    as_number,
    as_table,
    as_text,
    is_fit_address,
    without_call,
)

_LIMITS = ("rps", "rpm", "rpd", "max_tokens", "min_provider_score", "max_provider_score")
_MEASURED = frozenset(
    {
        "avg_response_time",
        "avg_provider_latency",
        "errors",
        "provider_score",
        "streamingCompatible",
        "lastError",
        "lastStatus",
        "disabledByProvider",
        "_deprecated",
    }
)
"""What is measured, or learnt anew here."""
_READ = frozenset({"id", "apiKey", "provider_url", "provider_urls", "models", "disabled"})


def read_anygpt(folder: Path) -> Draft:
    """The draft of the folder.

    Raises:
        CallerError: it holds none of the files, or one that cannot be read.
    """
    files = {name: folder / f"{name}.json" for name in ("providers", "tiers", "keys", "models")}
    there = {name: read_source(path) for name, path in files.items() if path.is_file()}
    if not there.keys() & {"providers", "tiers"}:
        raise invalid(f"{folder} holds neither providers.json nor tiers.json.")
    data = {f"{name}.json": source.data for name, source in there.items()}
    return named_apart(Source(data), partial(_read, folder))


def _read(folder: Path, draft: Draft) -> None:
    data = draft.source.data
    for number, entry in enumerate(as_list(data.get("providers.json"))):
        _provider(as_table(entry), ("providers.json", number), draft)
    for name in dict.fromkeys(each.name for each in draft.deployments):
        draft.groups[name] = Group("weighted")
    for name, tier in as_table(data.get("tiers.json")).items():
        _tier(name, as_table(tier), draft)
    if as_table(data.get("keys.json")):
        draft.miss(
            ("keys.json",),
            f"callers' keys are data: `dragoman import json {folder}` stores them, as digests",
        )


def _provider(entry: Mapping[str, Any], place: Place, draft: Draft) -> None:
    name, url = as_text(entry.get("id")), as_text(entry.get("provider_url"))
    if not name or not url:
        draft.miss(place, "a provider needs an id and a provider_url")
        return
    if not is_fit_address(url):
        draft.miss((*place, "provider_url"), UNFIT_ADDRESS)
        return
    if entry.get("disabled") is True:
        draft.miss((*place, "disabled"), f"{name} is switched off")
        return
    if as_list(entry.get("provider_urls")):
        draft.miss((*place, "provider_urls"), "a provider has one address: make a row for each")
    key = as_text(entry.get("apiKey"))
    host = urlsplit(url).hostname or ""
    built_in = BUILT_IN_AT.get(host)
    stem = built_in or name
    variable = draft.variable_for(key, f"{stem}_API_KEY", (*place, "apiKey")) if key else None
    if built_in is not None:
        if variable is None:
            variable = draft.need(definitions()[built_in].env.key[0], f"the key of {built_in}")
        account = Account(built_in, key=variable)
    else:
        account = Account(name, "chat", without_call(url), variable)
    models = as_table(entry.get("models"))
    for model, state in models.items():
        if as_table(state).get("disabled") is True:
            draft.miss((*place, "models", model), "the model is switched off")
        else:
            draft.deployments.append(Deployment(model, account, model))
    if not models:
        draft.providers_alone.append(account)
    for member in entry:
        if member not in _READ and member not in _MEASURED:
            draft.miss((*place, member), "a provider has nothing like it here")


def _tier(name: str, tier: Mapping[str, Any], draft: Draft) -> None:
    found: dict[str, Any] = {}
    for member, value in tier.items():
        place = ("tiers.json", name, member)
        if member not in _LIMITS:
            draft.miss(place, f"a tier has none but {', '.join(_LIMITS)}")
        elif value is None:
            continue
        elif (number := as_number(value)) is None or number < 0:
            draft.miss(place, "it is a number that is not below 0, or null")
        else:
            found[member] = int(number) if not member.endswith("_score") else number
    try:
        limits_of(name, found, "it cannot be one here")
    except ConfigError as error:
        draft.miss(("tiers.json", name), error.message)
    else:
        draft.tiers[name] = found
