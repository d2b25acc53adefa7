"""The other sections of LiteLLM's configuration: its router, its switches, what is said of its database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dragoman.core.provider import Strategy
from dragoman.moving.draft import Draft, Group
from dragoman.moving.source import Place
from dragoman.moving.values import as_list, as_number, as_table, as_text

_STRATEGIES: dict[str, Strategy] = {
    "simple-shuffle": "weighted",
    "least-busy": "least-busy",
    "latency-based-routing": "latency",
    "cost-based-routing": "cost",
}
_SECTIONS = frozenset(
    {
        "model_list",
        "router_settings",
        "litellm_settings",
        "general_settings",
        "environment_variables",
    }
)
_SETTINGS: dict[str, tuple[str, float]] = {
    "num_retries": ("MAX_RETRIES", 1),
    "timeout": ("UPSTREAM_TIMEOUT_MS", 1000),
    "request_timeout": ("UPSTREAM_TIMEOUT_MS", 1000),
    "stream_timeout": ("FIRST_EVENT_TIMEOUT_MS", 1000),
    "allowed_fails": ("BREAKER_FAILURES", 1),
    "cooldown_time": ("BREAKER_OPEN_S", 1),
}
"""Numbers that are settings here, and what they are multiplied with."""
_MOST_RETRIES = 10
_NO_OTHER_MODEL = (
    "another model answers only where a name has several: list it among that name's candidates"
)
_REASONS = {
    "default_fallbacks": _NO_OTHER_MODEL,
    "context_window_fallbacks": "candidates whose window is too small are left out by themselves: "
    "list the larger model among the name's candidates",
    "content_policy_fallbacks": _NO_OTHER_MODEL,
    "drop_params": "what a target cannot take is dropped and told in x-dragoman-dropped",
    "set_verbose": "LOG_LEVEL=debug",
    "json_logs": "logs are JSON; LOG_FORMAT=text has them for people",
    "callbacks": "code of others is not run in the gateway; see /metrics and the log lines",
    "success_callback": "code of others is not run in the gateway; see /metrics and the log lines",
    "failure_callback": "code of others is not run in the gateway; see /metrics and the log lines",
    "cache_params": "ANSWER_CACHE_TTL_S and REDIS_URL",
    "retry_policy": "what is tried again is decided by the kind of failure, not by lists",
    "allowed_fails_policy": "breakers judge by the kind of failure themselves",
    "redis_host": "REDIS_URL, as redis://host:6379",
    "redis_port": "REDIS_URL, as redis://host:6379",
    "redis_password": "REDIS_PASSWORD",
    "redis_url": "REDIS_URL",
    "enable_pre_call_checks": "what does not fit a model is left out always",
    "master_key": "",
    "database_url": "LiteLLM's database cannot be read here: DATABASE_URL names one of Dragoman's own",
    "store_model_in_db": "models stand in dragoman.toml",
    "alerting": "[[alerts.webhooks]] tell of budgets, spending and errors: each with its url and secret",
    "max_parallel_requests": "[tiers] limit callers: concurrency",
    "global_max_parallel_requests": "MAX_UPSTREAM_CONNECTIONS",
}


def read_sections(config: Mapping[str, Any], draft: Draft) -> None:
    """Everything of a configuration but its models."""
    router = as_table(config.get("router_settings"))
    switches = as_table(config.get("litellm_settings"))
    _strategy(router, draft)
    fallbacks: dict[str, tuple[str, ...]] = {}
    for section, table in (("litellm_settings", switches), ("router_settings", router)):
        fallbacks |= _fallbacks(table.get("fallbacks"), (section, "fallbacks"), draft)
    for name, others in fallbacks.items():
        group = draft.groups.get(name, Group())
        draft.groups[name] = Group(group.strategy, others)
    _aliases(as_table(router.get("model_group_alias")), draft)
    _members(
        "router_settings", router, {"routing_strategy", "fallbacks", "model_group_alias"}, draft
    )
    _budget(switches, draft)
    _cache(switches, draft)
    read = {"fallbacks", "max_budget", "budget_duration", "cache", "cache_params"}
    _members("litellm_settings", switches, read, draft)
    _general(as_table(config.get("general_settings")), draft)
    for name in as_table(config.get("environment_variables")):
        draft.miss(
            ("environment_variables", name),
            "variables are set where the gateway is started, never in the file",
        )
    for name in config:
        if name not in _SECTIONS:
            draft.miss((str(name),), "this section has nothing like it here")


def _strategy(router: Mapping[str, Any], draft: Draft) -> None:
    said = as_text(router.get("routing_strategy")) or "simple-shuffle"
    strategy = _STRATEGIES.get(said)
    if strategy is None:
        strategy = "weighted"
        draft.miss(
            ("router_settings", "routing_strategy"),
            f"there is no strategy like {said!r}; routes are weighted now",
        )
    ordered = {each.name for each in draft.deployments if each.order}
    for each in draft.deployments:
        draft.groups[each.name] = Group(None if each.name in ordered else strategy)


def _fallbacks(said: Any, place: Place, draft: Draft) -> dict[str, tuple[str, ...]]:
    known = {each.name for each in draft.deployments}
    found: dict[str, tuple[str, ...]] = {}
    # One table of all of them is written as well.
    for number, entry in enumerate([said] if isinstance(said, dict) else as_list(said)):
        for name, others in as_table(entry).items():
            at = (*place, number, name)
            there = []
            for other in as_list(others) if isinstance(others, list) else [others]:
                if isinstance(other, str) and other in known:
                    there.append(other)
                else:
                    draft.miss(at, "it falls back on what is no model_name that was carried over")
            if name not in known:
                draft.miss(at, _NO_OTHER_MODEL)
            elif there:
                found[name] = tuple(there)
    return found


def _aliases(said: Mapping[str, Any], draft: Draft) -> None:
    known = {each.name for each in draft.deployments}
    for name, target in said.items():
        place = ("router_settings", "model_group_alias", name)
        model = as_text(target.get("model") if isinstance(target, dict) else target)
        if model not in known or name in known:
            draft.miss(place, "it names no model_name that was carried over")
        else:
            draft.aliases[name] = model


def _members(section: str, table: Mapping[str, Any], read: set[str], draft: Draft) -> None:
    for member, value in table.items():
        if member in read:
            continue
        setting = _SETTINGS.get(member)
        number = as_number(value)
        if setting is not None and number is not None and number >= 0:
            name, factor = setting
            whole = round(number * factor)
            if name == "MAX_RETRIES":
                whole = min(whole, _MOST_RETRIES)
            draft.settings.setdefault(name, str(max(whole, 0 if name == "MAX_RETRIES" else 1)))
        else:
            reason = _REASONS.get(member, "there is nothing like it here")
            draft.miss((section, member), reason)


def _budget(switches: Mapping[str, Any], draft: Draft) -> None:
    most = as_number(switches.get("max_budget"))
    if "max_budget" not in switches:
        return
    if most is None or most <= 0:
        draft.miss(("litellm_settings", "max_budget"), "a budget is a number of USD above 0")
        return
    said = as_text(switches.get("budget_duration"))
    spans = {
        "": "total_usd",
        "1d": "daily_usd",
        "24h": "daily_usd",
        "30d": "monthly_usd",
        "1mo": "monthly_usd",
    }
    span = spans.get(said)
    if span is None:
        draft.miss(
            ("litellm_settings", "budget_duration"),
            f"budgets are daily, monthly or total; {said} is none of them, and no budget was made",
        )
        return
    if said == "30d":
        draft.miss(
            ("litellm_settings", "budget_duration"), "a month is the calendar's, not 30 days"
        )
    draft.miss(
        ("litellm_settings", "max_budget"),
        'under a budget a model without a known price is refused: say its [prices], or unpriced = "allow"',
    )
    draft.budgets["everybody"] = {span: f"{most:f}".rstrip("0").rstrip(".")}


def _cache(switches: Mapping[str, Any], draft: Draft) -> None:
    place = ("litellm_settings", "cache_params")
    params = as_table(switches.get("cache_params"))
    if switches.get("cache") is True:
        ttl = as_number(params.get("ttl"))
        draft.settings["ANSWER_CACHE_TTL_S"] = f"{ttl or 60:g}"
        draft.settings["ANSWER_CACHE_KEYS"] = "*"
    kind = as_text(params.get("type"))
    if kind == "redis":
        draft.need("REDIS_URL", "the Redis that cache_params speaks of, as redis://host:6379")
    elif kind and kind != "local":
        draft.miss((*place, "type"), f"answers are kept in memory or in Redis, not in {kind!r}")
    for member in params:
        if member not in {"type", "ttl", "host", "port", "password", "url"}:
            draft.miss((*place, member), "the cache of answers has nothing like it here")


def _general(table: Mapping[str, Any], draft: Draft) -> None:
    if table.get("master_key"):
        draft.need(
            "DEFAULT_ADMIN_API_KEY", "the master_key, as the key of an admin: 8 characters or more"
        )
        draft.settings.setdefault("DEFAULT_ADMIN_USER_ID", "admin")
    _members("general_settings", table, {"master_key"}, draft)
