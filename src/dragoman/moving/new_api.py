"""The channels of new-api and one-api, as their administration gives them out.

A file is a list of channels, one of them, or the answer of ``GET /api/channel/`` around such a list.
Several channels with one model are tried by priority and, within one priority, by weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from dragoman.catalog.files import definitions
from dragoman.core.errors import invalid
from dragoman.moving.draft import Account, Deployment, Draft, Group, named_apart, same_host
from dragoman.moving.source import Place, Source
from dragoman.moving.values import (
    UNFIT_ADDRESS,
    as_list,
    as_number,
    as_table,
    as_text,
    is_fit_address,
    own_kind,
    without_call,
)

Flavour = Literal["new-api", "one-api"]

_BOTH = {
    1: "openai",
    3: "azure",
    8: "custom",
    14: "anthropic",
    15: "baidu",
    16: "zhipu",
    17: "ali",
    18: "xunfei",
    19: "360",
    20: "openrouter",
    22: "fastgpt",
    23: "tencent",
    24: "google",
    25: "moonshot",
    31: "lingyiwanwu",
    33: "aws",
}
_KINDS: dict[Flavour, dict[int, str]] = {
    "new-api": _BOTH
    | {
        4: "ollama",
        26: "zhipu",
        27: "perplexity",
        34: "cohere",
        35: "minimax",
        37: "dify",
        38: "jina",
        39: "cloudflare",
        40: "siliconflow",
        41: "vertex_ai",
        42: "mistral",
        43: "deepseek",
        45: "volcengine",
        47: "xinference",
        48: "xai",
        49: "coze",
    },
    "one-api": _BOTH
    | {
        28: "mistral",
        29: "groq",
        30: "ollama",
        34: "coze",
        35: "cohere",
        36: "deepseek",
        37: "cloudflare",
        39: "together",
        42: "vertex_ai",
        44: "siliconflow",
        45: "xai",
    },
}
"""What a channel's number means; the two programs part ways behind 25."""

_ADDRESSES = {
    "moonshot": "https://api.moonshot.cn/v1",
    "siliconflow": "https://api.siliconflow.cn/v1",
    "lingyiwanwu": "https://api.lingyiwanwu.com/v1",
}
"""Services that speak OpenAI's chat and have no file of their own here."""
_OPEN = frozenset({"openai", "custom", "xinference"})
"""Kinds that may be any address which speaks OpenAI's chat."""
_READ = frozenset(
    {
        "id",
        "type",
        "key",
        "name",
        "base_url",
        "models",
        "model_mapping",
        "weight",
        "priority",
        "status",
    }
)
_MEASURED = frozenset(
    {
        "balance",
        "balance_updated_time",
        "channel_info",
        "created_time",
        "response_time",
        "test_model",
        "test_time",
        "used_quota",
    }
)
"""What the program notes of a channel by itself."""
_REASONS = {
    "group": "callers are not sent to channels by groups: give keys tiers, or models names of their own",
    "groups": "callers are not sent to channels by groups: give keys tiers, or models names of their own",
    "openai_organization": "a provider's key belongs to one organisation",
    "status_code_mapping": "a provider's status passes, or is mapped by the caller's dialect",
    "auto_ban": "who fails is left out by itself: DISABLE_PROVIDER_AFTER_MODELS",
    "tag": "channels have no tags",
    "param_override": "what callers send is not overridden; a provider's row has rename and drop",
    "header_override": "say headers = { … } in the provider's row",
    "setting": "a proxy for one provider is not there",
    "settings": "a channel's further settings have nothing like them here",
}
_ENABLED = 1


def read_new_api(source: Source, flavour: Flavour = "new-api") -> Draft:
    """The draft of the channels.

    Raises:
        CallerError: the file holds none.
    """
    return named_apart(source, partial(_read_file, flavour))


def _read_file(flavour: Flavour, draft: Draft) -> None:
    channels, place = _channels(draft.source.data)
    if not channels:
        raise invalid("This file holds no channels of new-api: a list with type, key and models.")
    counted = len({as_number(as_table(each).get("priority")) or 0 for each in channels}) > 1
    for number, each in enumerate(channels):
        _read(as_table(each), (*place, number), draft, flavour)
    for name in dict.fromkeys(each.name for each in draft.deployments):
        orders = {each.order for each in draft.deployments if each.name == name}
        draft.groups[name] = Group(None if counted and len(orders) > 1 else "weighted")


def _channels(data: Any) -> tuple[list[Any], Place]:
    if isinstance(data, list):
        return data, ()
    table = as_table(data)
    inside = table.get("data")
    if isinstance(inside, list):
        return inside, ("data",)
    for member in ("items", "channels"):
        if isinstance(inside, dict) and isinstance(inside.get(member), list):
            return as_list(inside[member]), ("data", member)
        if isinstance(table.get(member), list):
            return as_list(table[member]), (member,)
    return ([data], ()) if {"type", "models"} <= table.keys() else ([], ())


def _read(channel: Mapping[str, Any], place: Place, draft: Draft, flavour: Flavour) -> None:
    number = as_number(channel.get("type"))
    kind = _KINDS[flavour].get(int(number)) if number is not None else None
    if as_number(channel.get("status", _ENABLED)) != _ENABLED:
        draft.miss((*place, "status"), "the channel is switched off")
        return
    accounts = _accounts(kind, channel, place, draft)
    mapping = _mapping(channel.get("model_mapping"), place, draft)
    weight = max(1, int(as_number(channel.get("weight")) or 0))
    order = -int(as_number(channel.get("priority")) or 0)
    names = [each.strip() for each in as_text(channel.get("models")).split(",") if each.strip()]
    if accounts and not names:
        draft.miss((*place, "models"), "the channel serves no models")
    for account in accounts:
        for name in dict.fromkeys(names):
            draft.deployments.append(
                Deployment(name, account, mapping.get(name, name), weight, order)
            )
    for member, value in channel.items():
        if member in _READ or member in _MEASURED or not value or value == "{}":
            continue
        if member in {"group", "groups"} and value in {"default", "all"}:
            continue
        reason = _REASONS.get(member, "a channel has nothing like it here")
        draft.miss((*place, member), reason)


def _accounts(
    kind: str | None, channel: Mapping[str, Any], place: Place, draft: Draft
) -> list[Account]:
    base = as_text(channel.get("base_url")) or None
    if base is not None and not is_fit_address(base):
        draft.miss((*place, "base_url"), UNFIT_ADDRESS)
        return []
    if kind not in definitions() and kind not in _ADDRESSES and not (kind in _OPEN and base):
        shown = channel.get("type") if isinstance(channel.get("type"), int) else "?"
        draft.miss(
            (*place, "type"),
            f"channels of type {shown} ({kind or 'not known'}) have no provider here",
        )
        return []
    keys = _keys(channel, kind, place, draft)
    if kind in definitions() and (base is None or same_host(base, str(kind))):
        return [Account(str(kind), key=key) for key in keys]
    if kind in _OPEN and base:
        # A custom channel's address is that of its chat, whole.
        address = without_call(base) if kind == "custom" else _versioned(base)
        return [Account(own_kind(base, str(kind)), "chat", address, key) for key in keys]
    if kind in definitions() and base:
        family = None if kind == "ollama" else definitions()[str(kind)].family
        return [Account(str(kind), family, base, key) for key in keys]
    address = _ADDRESSES[str(kind)] if base is None else _versioned(base)
    return [Account(str(kind), "chat", address, key) for key in keys]


def _versioned(base: str) -> str:
    """The address of OpenAI's chat at a host."""
    found = without_call(base)
    return found if found.endswith("/v1") else f"{found}/v1"


def _keys(
    channel: Mapping[str, Any], kind: str | None, place: Place, draft: Draft
) -> list[str | None]:
    """A channel may hold several keys, one a line."""
    stem = kind if kind in definitions() else as_text(channel.get("name")) or kind or "channel"
    said = as_text(channel.get("key"))
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        # The administration does not give keys out again.
        if kind == "ollama":
            return [None]
        number = as_number(channel.get("id"))
        wanted = f"channel {stem} {number if number is not None else place}"
        return [draft.variable_for(wanted, f"{stem}_API_KEY", (*place, "key"))]
    return [draft.variable_for(line, f"{stem}_API_KEY", (*place, "key")) for line in lines]


def _mapping(said: Any, place: Place, draft: Draft) -> dict[str, str]:
    if isinstance(said, str) and said.strip():
        try:
            said = msgspec.json.decode(said.encode())
        except (msgspec.DecodeError, RecursionError):
            draft.miss((*place, "model_mapping"), "it is no JSON")
            return {}
    return {name: to for name, to in as_table(said).items() if isinstance(to, str) and to}
