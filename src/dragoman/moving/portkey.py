"""Portkey's configs: a tree of targets that are balanced or fallen back on, as one route.

A file is one config, what the administration gives out of one, or a list of ``{name, config}``. A route has
a name that callers say as their model: the config's own, or that of the file. A target without
``override_params.model`` serves whatever model the caller names, which is what happens here without any route.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from dragoman.catalog.files import definitions
from dragoman.core.errors import invalid
from dragoman.moving.draft import Account, Deployment, Draft, Group, named_apart, same_host
from dragoman.moving.kinds import LIKE_OPENAI, OURS, maker_of_bare, why_not
from dragoman.moving.source import Place, Source
from dragoman.moving.values import (
    UNFIT_ADDRESS,
    as_list,
    as_number,
    as_table,
    as_text,
    as_weight,
    is_fit_address,
    own_kind,
)

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")
_TARGET = frozenset(
    {"provider", "api_key", "virtual_key", "override_params", "weight", "custom_host", "name"}
)
_INHERITED = ("retry", "cache", "request_timeout")
_REASONS = {
    "on_status_codes": "what goes on to the next candidate is decided by the kind of failure",
    "conditions": "a route has no conditions: make a name for each",
    "input_guardrails": "guardrails are not there",
    "output_guardrails": "guardrails are not there",
    "before_request_hooks": "hooks are not there",
    "after_request_hooks": "hooks are not there",
    "cb_config": "breakers are one for all: BREAKER_FAILURES, BREAKER_OPEN_S",
    "forward_headers": "which headers go to a provider is fixed",
    "strict_open_ai_compliance": "answers keep to the caller's own dialect always",
    "passthrough": "any request of the provider's own family goes through",
    "openai_organization": "a provider's key belongs to one organisation",
    "openai_project": "a provider's key belongs to one project",
}


def read_portkey(source: Source, name: str) -> Draft:
    """The draft of one config or several; ``name`` is what one without a name is called.

    Raises:
        CallerError: the file is no config of Portkey's.
    """
    draft = named_apart(source, partial(_read_file, name))
    if not draft.deployments and not draft.providers_alone and not draft.missed:
        raise invalid("This is no config of Portkey's: it has no targets and no provider.")
    return draft


def _read_file(name: str, draft: Draft) -> None:
    data = _in_snake_case(draft.source.data)
    if isinstance(data, list):
        for number, entry in enumerate(data):
            entry_name = as_text(as_table(entry).get("name")) or f"{name}-{number + 1}"
            _read_named(as_table(entry), entry_name, (number,), draft)
    else:
        _read_named(as_table(data), name, (), draft)


def _in_snake_case(value: Any) -> Any:
    """The same with names in one spelling: configs may say ``apiKey`` as well as ``api_key``."""
    if isinstance(value, list):
        return [_in_snake_case(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        _HUMP.sub(lambda found: "_" + found[0].lower(), str(name)): _in_snake_case(each)
        for name, each in value.items()
    }


def _read_named(table: Mapping[str, Any], name: str, place: Place, draft: Draft) -> None:
    if isinstance(table.get("data"), dict):  # as the administration gives a config out
        _read_named(as_table(table["data"]), name, (*place, "data"), draft)
        return
    inner = table.get("config")
    if isinstance(inner, dict):
        name = as_text(table.get("slug")) or as_text(table.get("name")) or name
        _read(inner, name, (*place, "config"), draft)
    else:
        _read(table, name, place, draft)


def _read(config: Mapping[str, Any], name: str, place: Place, draft: Draft) -> None:
    mode = _mode(config, place, draft)
    _tree(config, mode, name, place, draft)
    _switches(config, place, draft)
    for member in config:
        known = member in _TARGET or member in _INHERITED or member in {"strategy", "targets"}
        if config.get("targets") and not known:
            reason = _REASONS.get(member, "a config has nothing like it here")
            draft.miss((*place, member), reason)
    draft.groups[name] = Group("weighted" if mode == "loadbalance" else None)


def _mode(config: Mapping[str, Any], place: Place, draft: Draft) -> str:
    strategy = as_table(config.get("strategy"))
    mode = as_text(strategy.get("mode")) or ("fallback" if config.get("targets") else "single")
    for member in strategy:
        if member != "mode":
            reason = _REASONS.get(member, "a strategy has nothing like it here")
            draft.miss((*place, "strategy", member), reason)
    if mode not in {"single", "fallback", "loadbalance"}:
        draft.miss(
            (*place, "strategy", "mode"),
            f"{mode!r} is none of a route's ways: it goes in order now",
        )
        return "fallback"
    return mode


def _tree(
    node: Mapping[str, Any], mode: str, name: str, place: Place, draft: Draft, order: int = 0
) -> int:
    """Puts down the targets of a node; the order that comes next."""
    targets = as_list(node.get("targets"))
    if not targets:
        _leaf(node, name, place, draft, order)
        return order + 1
    if mode == "single":
        targets = targets[:1]
    for number, target in enumerate(targets):
        at = (*place, "targets", number)
        inside = as_table(target)
        if inside.get("targets"):
            below = _mode(inside, at, draft)
            if below not in {mode, "single"}:
                draft.miss(
                    at, f"a {below} within a {mode} is not there: its targets stand in a row now"
                )
            order = _tree(inside, below, name, at, draft, order)
            _switches(inside, at, draft)
            continue
        _leaf(inside, name, at, draft, order)
        order += mode != "loadbalance"
        if inside is not node:
            _switches(inside, at, draft)
    return order


def _leaf(target: Mapping[str, Any], name: str, place: Place, draft: Draft, order: int) -> None:
    params = as_table(target.get("override_params"))
    model = as_text(params.get("model"))
    kind, slug = as_text(target.get("provider")), as_text(target.get("virtual_key"))
    if kind.startswith("@"):
        kind, slug = "", kind.removeprefix("@")
    if model.startswith("@"):
        slug, _, model = model.removeprefix("@").partition("/")
    if not kind and not slug:
        draft.miss(place, "a target needs a provider or a virtual_key")
        return
    kind = kind or _guessed(slug, model)
    account = _account(kind, slug, target, place, draft)
    for member in target:
        if member not in _TARGET and member not in _INHERITED and member != "strategy":
            reason = _REASONS.get(member, "a target has nothing like it here")
            draft.miss((*place, member), reason)
    for member in params:
        if member != "model":
            draft.miss(
                (*place, "override_params", member),
                "what callers send is not overridden: they say it themselves",
            )
    if account is None:
        return
    if not model:
        draft.providers_alone.append(account)
        draft.miss(
            place,
            "it serves any model that callers name: they say provider/model here, and no route is made of it",
        )
        return
    draft.deployments.append(
        Deployment(name, account, model, _weight(target, place, draft), order)
    )


def _guessed(slug: str, model: str) -> str:
    """Whose key is kept under a slug: by its first words, else by the model."""
    head = slug.lower()
    for theirs in sorted(OURS, key=len, reverse=True):
        if head == theirs or head.startswith((f"{theirs}-", f"{theirs}_")):
            return theirs
    return maker_of_bare(model) or slug


def _account(
    kind: str, slug: str, target: Mapping[str, Any], place: Place, draft: Draft
) -> Account | None:
    ours = OURS.get(kind)
    base = as_text(target.get("custom_host")) or None
    if base is not None and not is_fit_address(base):
        draft.miss((*place, "custom_host"), UNFIT_ADDRESS)
        return None
    if ours is None and not (base and kind in LIKE_OPENAI | {"openai"}):
        member = "provider" if target.get("provider") else "virtual_key"
        draft.miss((*place, member), why_not(kind))
        return None
    key = _key(ours or kind, slug, target, place, draft)
    if ours is not None and (base is None or same_host(base, ours)):
        return Account(ours, key=key)
    assert base is not None
    if ours is None or ours == "openai":
        return Account(own_kind(base, kind), "chat", base, key)
    return Account(ours, definitions()[ours].family if ours != "ollama" else None, base, key)


def _key(
    ours: str, slug: str, target: Mapping[str, Any], place: Place, draft: Draft
) -> str | None:
    said = as_text(target.get("api_key"))
    if said.startswith(("{{", "$")):
        name = said.strip("{}$ ").replace("-", "_").upper()
        return draft.need(name, f"the key at {draft.source.told((*place, 'api_key'))}")
    if said:
        return draft.variable_for(said, f"{ours}_API_KEY", (*place, "api_key"))
    if slug:
        # The vault that it stands for is Portkey's; here it is one variable a slug.
        return draft.variable_for(
            f"virtual key {slug}", f"{slug}_API_KEY", (*place, "virtual_key")
        )
    if ours == "ollama" or ours not in definitions():
        return None
    return draft.need(definitions()[ours].env.key[0], f"the key of {ours}")


def _weight(target: Mapping[str, Any], place: Place, draft: Draft) -> int:
    weight = as_weight(target.get("weight"), of_one=True)
    if weight is None:
        draft.miss((*place, "weight"), "a weight is a number above 0; this target has 1 now")
    return weight or 1


def _switches(table: Mapping[str, Any], place: Place, draft: Draft) -> None:
    attempts = as_number(as_table(table.get("retry")).get("attempts"))
    if attempts is not None and attempts >= 0:
        draft.settings.setdefault("MAX_RETRIES", str(min(10, int(attempts))))
    for member in as_table(table.get("retry")):
        if member != "attempts":
            draft.miss(
                (*place, "retry", member), "what is tried again is decided by the kind of failure"
            )
    timeout = as_number(table.get("request_timeout"))
    if timeout is not None and timeout >= 1:
        draft.settings.setdefault("UPSTREAM_TIMEOUT_MS", str(int(timeout)))
    cache = as_table(table.get("cache"))
    mode = as_text(cache.get("mode"))
    if mode == "simple":
        age = as_number(cache.get("max_age"))
        draft.settings.setdefault("ANSWER_CACHE_TTL_S", f"{age or 60:g}")
        draft.settings.setdefault("ANSWER_CACHE_KEYS", "*")
    elif mode:
        draft.miss(
            (*place, "cache", "mode"),
            f"answers are given again to equal requests only, not {mode!r}",
        )
