"""A ``dragoman.toml`` in the making: whose models under which names, what it needs, what it cannot say.

Importers of other gateways' files put down deployments (a model at a place with a key, under a name) and
what they could not carry over. Here deployments become providers, pools of keys, aliases and routes. A
secret never comes in: whoever finds one in a file asks for the name of an environment variable instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.catalog.files import definitions
from dragoman.core.errors import invalid
from dragoman.core.provider import Family, Strategy
from dragoman.moving.source import Place, Source

_NO_NAME = re.compile(r"[^a-z0-9]+")
_NO_VARIABLE = re.compile(r"[^A-Z0-9]+")


class Missed(Struct, frozen=True):
    """What was not carried over."""

    place: str
    reason: str


class Account(Struct, frozen=True):
    """A place that serves models: a provider of ours by name, or an address that speaks a dialect."""

    kind: str
    """A built-in provider's name, or what the operator's own is to be called."""
    dialect: Family | None = None
    """None: the built-in provider as it is."""
    base_url: str | None = None
    key: str | None = None
    """The environment variable that holds the key; None: there is none."""


class Deployment(Struct, frozen=True):
    """A model at a place, under the name that callers say."""

    name: str
    account: Account
    model: str
    weight: int = 1
    order: int = 0
    """Lower ones are tried before higher ones."""


class Group(Struct, frozen=True):
    """How the deployments of one name are chosen among."""

    strategy: Strategy | None = None
    """None: in their order."""
    fallbacks: tuple[str, ...] = ()
    """Names whose deployments come after all of these."""


@dataclass(slots=True)
class Draft:
    """What was found so far."""

    source: Source
    deployments: list[Deployment] = field(default_factory=list)
    providers_alone: list[Account] = field(default_factory=list)
    """Providers all of whose models may be asked for, without a name for any."""
    groups: dict[str, Group] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    prices: dict[tuple[Account, str], dict[str, str]] = field(default_factory=dict)
    tiers: dict[str, dict[str, Any]] = field(default_factory=dict)
    budgets: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """Environment variables that are needed, and what for."""
    settings: dict[str, str] = field(default_factory=dict)
    """Settings that are said by the environment alone, with their values; none of them is a secret."""
    missed: list[Missed] = field(default_factory=list)
    referred: set[str] = field(default_factory=set)
    """Those of them that were not made up here."""
    reserved: frozenset[str] = frozenset()
    """Variables that the file itself refers to: no secret is to be called like one of them."""
    _secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def miss(self, place: Place, reason: str) -> None:
        """Notes what is not carried over, and why."""
        found = Missed(self.source.told(place), reason)
        if found not in self.missed:
            self.missed.append(found)

    def need(self, name: str, what_for: str) -> str:
        """Notes a variable that the file refers to."""
        self.referred.add(name)
        self.variables.setdefault(name, what_for)
        return name

    def variable_for(self, secret: str, wanted: str, place: Place) -> str:
        """The variable that is to hold a secret of the file; the same secret has one variable."""
        known = self._secrets.get(secret)
        if known is not None:
            return known
        stem = _NO_VARIABLE.sub("_", wanted.upper()).strip("_") or "KEY"
        name, number = stem, 1
        while name in self.variables or name in self.reserved:
            number += 1
            name = f"{stem}_{number}"
        self._secrets[secret] = name
        self.variables[name] = f"the key that stands at {self.source.told(place)}"
        return name


def named_apart(source: Source, read: Callable[[Draft], None]) -> Draft:
    """The draft that ``read`` fills.

    It reads once to learn which variables the file has, and once more with other names for the secrets that
    stand in it.

    Raises:
        CallerError: as ``read`` does, or the file is nested too deeply.
    """
    first = Draft(source)
    try:
        read(first)
        second = Draft(source, reserved=frozenset(first.referred))
        read(second)
    except RecursionError:
        raise invalid("The file is nested too deeply.") from None
    return second


class Laid(Struct, frozen=True):
    """The draft as tables of a ``dragoman.toml``."""

    tables: dict[str, Any]
    missed: list[Missed]


def lay_out(draft: Draft, known: tuple[str, ...]) -> Laid:
    """The tables; a section that this version's file does not have (``known``) is missed, with its place."""
    draft = replace(draft, missed=list(draft.missed))
    names, pools = _named(draft)
    rows = [_row(name, pool) for name, pool in pools.items()]
    aliases = dict(draft.aliases)
    routes: dict[str, Any] = {}
    for name in dict.fromkeys(each.name for each in draft.deployments):
        _place_group(name, draft, names, aliases, routes)
    prices: dict[str, dict[str, str]] = {}
    for (account, model), price in draft.prices.items():
        if account in names:
            prices[f"{names[account]}/{model}"] = price
    tables: dict[str, Any] = {"format": 1}
    for section, table in (
        ("providers", [row for row in rows if row is not None]),
        ("aliases", aliases),
        ("routes", routes),
        ("prices", prices),
        ("tiers", draft.tiers),
        ("budgets", draft.budgets),
    ):
        if not table:
            continue
        if section in known:
            tables[section] = table
        else:
            reason = f"the dragoman.toml of this version has no [{section}]"
            draft.missed.extend(Missed(f"{section}.{name}", reason) for name in table)
    return Laid(tables, draft.missed)


class _Pool(Struct, frozen=True):
    """A provider in the making: one address, and the keys that are used by turns."""

    account: Account
    keys: tuple[tuple[str, int], ...]
    """Variables and their weights."""
    models: tuple[str, ...]


def _named(draft: Draft) -> tuple[dict[Account, str], dict[str, _Pool]]:
    """Names for accounts: those that serve the same models under the same names are one pool of keys."""
    uses: dict[Account, dict[tuple[str, str], int]] = {}
    for each in draft.deployments:
        uses.setdefault(each.account, {})[each.name, each.model] = each.weight
    for account in draft.providers_alone:
        uses.setdefault(account, {})
    merged: dict[tuple[Any, ...], list[Account]] = {}
    for account, used in uses.items():
        place = (account.kind, account.dialect, account.base_url, account.key is None)
        merged.setdefault((*place, frozenset(used)), []).append(account)
    names: dict[Account, str] = {}
    pools: dict[str, _Pool] = {}
    for accounts in merged.values():
        name = _free(accounts[0], pools)
        if accounts[0].dialect is None and name != accounts[0].kind:
            draft.missed.append(
                Missed(
                    f"providers.{name}",
                    f"keys of {accounts[0].kind} that serve other models are a provider of their own here, "
                    'whose prices are not known: say them in [prices."' + name + '/…"]',
                )
            )
        keys = tuple(
            (account.key, max(uses[account].values(), default=1))
            for account in accounts
            if account.key is not None
        )
        models = dict.fromkeys(model for _, model in uses[accounts[0]])
        pools[name] = _Pool(accounts[0], _reduced(keys), tuple(models))
        names.update(dict.fromkeys(accounts, name))
    return names, pools


def _reduced(keys: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """Equal weights are no weights."""
    if len({weight for _, weight in keys}) <= 1:
        return tuple((key, 1) for key, _ in keys)
    return keys


def _free(account: Account, taken: Mapping[str, Any]) -> str:
    stem = account.kind if account.dialect is None else _NO_NAME.sub("-", account.kind.lower())
    stem = stem.strip("-") or "provider"
    if account.dialect is not None and stem in definitions():
        # Under a built-in name its own file would be adjusted, with its own prices.
        stem = f"{stem}-{_NO_NAME.sub('-', urlsplit(account.base_url or '').netloc) or 'own'}"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name


def _row(name: str, pool: _Pool) -> dict[str, Any] | None:
    """The provider's table; None where its key's own variable switches the built-in one on."""
    account = pool.account
    built_in = definitions().get(account.kind) if account.dialect is None else None
    row: dict[str, Any] = {"name": name}
    if built_in is not None and name != account.kind:
        # A second pool of a built-in provider is a provider of its own.
        row["dialect"] = built_in.family
        row["base_url"] = account.base_url or built_in.base_url
        row |= _own_ways(account.kind)
    elif account.dialect is not None:
        row["dialect"] = account.dialect
    if account.base_url is not None:
        row["base_url"] = account.base_url
    if pool.keys:
        row["credentials"] = [
            {"key": f"${{{key}}}"} | ({"weight": weight} if weight != 1 else {})
            for key, weight in pool.keys
        ]
    elif "dialect" not in row and "base_url" not in row and built_in is not None:
        if built_in.auth.required:
            return None
        row["base_url"] = built_in.base_url
    if "dialect" in row:
        if pool.models:
            row["models"] = list(pool.models)
        return row
    alone = built_in is not None and len(pool.keys) == 1 and pool.keys[0][0] in built_in.env.key
    return None if alone and "base_url" not in row else row


def _own_ways(kind: str) -> dict[str, Any]:
    """What a built-in provider does its own way, for a row beside it."""
    built_in = definitions()[kind]
    generic = definitions()["openai-compatible"]
    ways: dict[str, Any] = {}
    if built_in.quirks.flavour != generic.quirks.flavour:
        ways["flavour"] = built_in.quirks.flavour
    if built_in.family == "chat" and built_in.paths != generic.paths:
        ways["paths"] = {str(name): path for name, path in built_in.paths.items()}
    for member in ("rename", "drop", "steps"):
        if said := getattr(built_in.quirks, member):
            ways[member] = dict(said) if isinstance(said, dict) else list(said)
    if built_in.quirks.usage_in_stream != "asked":
        ways["usage_in_stream"] = built_in.quirks.usage_in_stream
    return ways


def _place_group(
    name: str,
    draft: Draft,
    names: Mapping[Account, str],
    aliases: dict[str, Any],
    routes: dict[str, Any],
) -> None:
    group = draft.groups.get(name, Group())
    mine = _legs(name, draft, names)
    after = {
        target: weight
        for other in group.fallbacks
        for target, weight in _legs(other, draft, names).items()
        if target not in mine
    }
    if len(mine) + len(after) == 1:
        target = next(iter(mine))
        if target != name:
            aliases[name] = target
        return
    if after or group.strategy is None:
        if after and group.strategy is not None and len(mine) > 1:
            draft.miss(
                ("fallbacks", name),
                "a route either balances or goes in order: this one goes in order, its own models first",
            )
        routes[name] = {"candidates": [*mine, *after]}
        return
    legs = [
        target if weight == 1 else {"model": target, "weight": weight}
        for target, weight in mine.items()
    ]
    routes[name] = {"strategy": group.strategy, "candidates": legs}


def _legs(name: str, draft: Draft, names: Mapping[Account, str]) -> dict[str, int]:
    """The models of a name in their order, each with its weight; keys of one pool are one of them."""
    found: dict[str, int] = {}
    for each in sorted(
        (each for each in draft.deployments if each.name == name), key=lambda each: each.order
    ):
        target = f"{names[each.account]}/{each.model}"
        found[target] = found.get(target, 0) + each.weight
    weights = set(found.values())
    return dict.fromkeys(found, 1) if len(weights) == 1 else found


def same_host(base_url: str, kind: str) -> bool:
    """Whether the address is where the built-in provider is anyway."""
    definition = definitions().get(kind)
    if definition is None or not definition.base_url:
        return False
    return urlsplit(base_url).hostname == urlsplit(definition.base_url).hostname
