"""From files, environment and the operator's rows to a registry.

A provider is switched on by its key, or, where it needs none, by its address (D15).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dragoman.catalog.base_url import clean_base, host_as_base, origin_of
from dragoman.catalog.files import GENERIC, definitions
from dragoman.catalog.registry import STUB, Registry
from dragoman.catalog.resolve import is_auto
from dragoman.catalog.routes import NamedRoute
from dragoman.catalog.schema import SERVED, CatalogError, Definition, Keyed, OperatorRow, check_row
from dragoman.core.provider import Credential, Family, Price, Provider
from dragoman.core.secret import Secret


def load_providers(
    env: Mapping[str, str],
    extra: Sequence[OperatorRow] = (),
    *,
    provider_order: Sequence[str] = (),
    aliases: Mapping[str, str | Sequence[str]] | None = None,
    routes: Mapping[str, NamedRoute] | None = None,
    ranks: Mapping[str, int] | None = None,
    prices: Mapping[str, Price] | None = None,
    served: frozenset[Family] = SERVED,
    accounts: Mapping[str, Sequence[Credential]] | None = None,
    steps: Mapping[Family, frozenset[str]] | None = None,
) -> Registry:
    """The registry of everything that is switched on; ``steps`` are those that each family knows.

    ``accounts`` are those of logins, by the login's name; one that nobody has ever used is not among them.

    Raises:
        CatalogError: an address, a key, a row, an alias or the order is wrong; the message names it.
    """
    known = dict(definitions())
    rows = _by_name(extra)
    for row in rows.values():
        known[row.name] = _adjusted(known, row)
        if steps is not None:
            _refuse_unknown_steps(row, steps.get(known[row.name].family, frozenset()))
    providers: dict[str, Provider] = {}
    credentials: dict[str, tuple[Keyed, ...]] = {}
    unserved: dict[str, str] = {}
    for name, definition in known.items():
        keyed = _keys(definition, rows.get(name), env)
        where, base = base_of(definition, rows.get(name), env)
        logged_in = None if keyed else (accounts or {}).get(definition.accounts)
        on = logged_in is not None or (bool(definition.accounts) and name in rows)
        if not (on or _switched_on(definition, rows.get(name), keyed, where)):
            continue
        if not base:
            raise CatalogError(f"The provider {name} has no address: say its base_url.")
        for paths in (definition.paths, *(other.paths for other in definition.also.values())):
            base = clean_base(base, tuple(paths.values()), where or f"{name}'s base_url")
        if definition.family not in served:
            unserved[name] = definition.family
            continue
        providers[name] = _provider(definition, base, served)
        credentials[name] = _bound(keyed, origin_of(base)) or tuple(
            Keyed(msgspec.structs.replace(each, origin=origin_of(base)))
            for each in logged_in or ()
        )
    registry = Registry(
        providers=_ordered(providers, provider_order, known),
        definitions=known,
        credentials=credentials,
        aliases=_aliases(aliases or {}, routes or {}),
        routes=dict(routes or {}),
        ranks=dict(ranks or {}),
        overrides=dict(prices or {}),
        declared={row.name: row.models for row in rows.values() if row.models},
        unserved=unserved,
    )
    for name, targets in registry.aliases.items():
        for target in targets:
            _refuse_nowhere(name, target, registry)
    return registry


def key_source(definition: Definition, env: Mapping[str, str]) -> str | None:
    """The environment variable that holds the provider's key, None if none does."""
    return next((name for name in definition.env.key if env.get(name, "").strip()), None)


def _by_name(extra: Iterable[OperatorRow]) -> dict[str, OperatorRow]:
    rows: dict[str, OperatorRow] = {}
    for row in extra:
        check_row(row)
        if row.name in rows:
            raise CatalogError(f"[[providers]]: the name {row.name!r} is given twice.")
        rows[row.name] = row
    return rows


def _refuse_unknown_steps(row: OperatorRow, known: frozenset[str]) -> None:
    """A step that nobody knows would fail every request to the provider, and not its start."""
    for step in row.steps or ():
        if step not in known:
            offer = ", ".join(sorted(known)) or "none"
            raise CatalogError(
                f"[[providers]] {row.name}: there is no step {step!r}; its dialect knows {offer}."
            )


_MODEL_OF: dict[Family, str] = {
    "anthropic": "anthropic",
    "gemini": "google",
    "ollama": "ollama",
    "responses": "openai-responses",
}
"""The file whose paths a provider of an operator's own gets, by its dialect."""


def _adjusted(known: Mapping[str, Definition], row: OperatorRow) -> Definition:
    """The built-in provider of that name with the row's changes, or a new one."""
    built_in = known.get(row.name)
    if built_in is None:
        start = known[_MODEL_OF.get(row.dialect or "chat", GENERIC)]
        auth = msgspec.structs.replace(start.auth, required=False)
        built_in = Definition(
            name=row.name,
            family=row.dialect or start.family,
            paths=start.paths,
            auth=auth,
            headers=start.headers,
            listing=start.listing,
            also=start.also,
        )
        if row.base_url is None:
            raise CatalogError(f"[[providers]] {row.name}: base_url is missing.")
        if built_in.family != start.family and row.paths is None:
            raise CatalogError(
                f"[[providers]] {row.name}: dialect {row.dialect!r} is not served by this version."
            )
    elif row.dialect is not None and row.dialect != built_in.family:
        raise CatalogError(
            f"[[providers]] {row.name}: the built-in provider speaks {built_in.family}; "
            "give yours another name."
        )
    quirks = msgspec.structs.replace(
        built_in.quirks,
        **_said(
            flavour=row.flavour,
            rename=row.rename,
            drop=row.drop,
            steps=row.steps,
            usage_in_stream=row.usage_in_stream,
        ),
    )
    return msgspec.structs.replace(
        built_in,
        quirks=quirks,
        headers={**built_in.headers, **row.headers},
        **_said(paths=row.paths, also=row.also, auth=row.auth, on_disconnect=row.on_disconnect),
        **_said(resolve=row.resolve),
    )


def _said(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _keys(
    definition: Definition, row: OperatorRow | None, env: Mapping[str, str]
) -> tuple[tuple[Secret, int], ...]:
    """The keys and their weights: the operator's row, else the environment (several by commas)."""
    if row is not None and row.credentials:
        where = f"[[providers]] {row.name}: a credential"
        return tuple((secret_of(item.key, where), item.weight) for item in row.credentials)
    source = key_source(definition, env)
    if source is None:
        return ()
    found = [item.strip() for item in env[source].split(",")]
    return tuple((secret_of(item, source), 1) for item in dict.fromkeys(found) if item)


def secret_of(value: str, where: str) -> Secret:
    """A key that may stand in a header; anything else could smuggle another header in.

    Raises:
        CatalogError: it may not; the message says ``where`` it is from, and nothing of it.
    """
    value = value.strip()
    if not value or not value.isascii() or any(not "!" <= sign <= "~" for sign in value):
        raise CatalogError(f"{where} must be visible ASCII without blanks.")
    return Secret(value)


def base_of(
    definition: Definition, row: OperatorRow | None, env: Mapping[str, str]
) -> tuple[str | None, str]:
    """Who says the address (None: the file), and the address."""
    if row is not None and row.base_url is not None:
        return f"[[providers]] {row.name}: base_url", row.base_url
    for name in definition.env.base_url:
        if text := env.get(name, "").strip():
            return name, host_as_base(text) if name.endswith("_HOST") else text
    return None, definition.base_url


def _switched_on(
    definition: Definition,
    row: OperatorRow | None,
    keyed: tuple[tuple[Secret, int], ...],
    where: str | None,
) -> bool:
    if keyed:
        return True
    if definition.auth.required:
        return False
    return row is not None or where is not None


def _provider(definition: Definition, base: str, served: frozenset[Family]) -> Provider:
    """The provider in its main family, and in the others that it speaks and that have a dialect."""
    main = Provider(
        name=definition.name,
        family=definition.family,
        base_url=base,
        paths=dict(definition.paths),
        auth=definition.auth,
        quirks=definition.quirks,
        headers=_lowered(definition.headers),
        on_disconnect=definition.on_disconnect,
        words=definition.words,
    )
    also = tuple(
        msgspec.structs.replace(
            main,
            family=family,
            paths=dict(surface.paths),
            auth=surface.auth or main.auth,
            quirks=surface.quirks,
            headers=_lowered(surface.headers),
        )
        for family, surface in definition.also.items()
        if family in served
    )
    return msgspec.structs.replace(main, also=also)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _bound(keyed: tuple[tuple[Secret, int], ...], origin: str) -> tuple[Keyed, ...]:
    """The credentials, each bound to the only place it may be sent to; ids are their numbers."""
    return tuple(
        Keyed(Credential(id=f"key-{number}", secret=secret, origin=origin), weight)
        for number, (secret, weight) in enumerate(keyed, 1)
    )


def _ordered(
    providers: dict[str, Provider], order: Sequence[str], known: Mapping[str, Definition]
) -> dict[str, Provider]:
    """The operator's order first; the rest as shipped: makers of models before those who resell them."""
    for name in order:
        if name not in known:
            raise CatalogError(
                f"provider_order names {name!r}, which is no provider; known: {', '.join(known)}."
            )
    shipped = ("openai", "anthropic", "google", "mistral", "deepseek", "xai", "groq", "cerebras")
    last = ("openrouter", "openai-responses")
    rest = [name for name in providers if name not in shipped and name not in last]
    wanted = dict.fromkeys((*order, *shipped, *rest, *last))
    return {name: providers[name] for name in wanted if name in providers}


def _aliases(
    said: Mapping[str, str | Sequence[str]], routes: Mapping[str, NamedRoute]
) -> dict[str, tuple[str, ...]]:
    """The operator's names, routes among them, with what each stands for."""
    found = {name: tuple(leg.model for leg in route.legs) for name, route in routes.items()}
    for name, target in said.items():
        targets = (target,) if isinstance(target, str) else tuple(target)
        if not name or not targets or not all(targets):
            raise CatalogError(f"The alias {name!r} must name at least one model.")
        if name in routes:
            raise CatalogError(f"The alias {name!r} has the name of a route: [routes.{name}].")
        found[name] = targets
    refuse_circles(found)
    return found


def _refuse_nowhere(name: str, target: str, registry: Registry) -> None:
    """Refuses an alias for a provider that does not exist; a bare id with a slash may be known."""
    if is_auto(target, registry):
        raise CatalogError(
            f"The alias {name!r} names auto, which is everything: name the models that are meant."
        )
    head, slash, _ = target.partition("/")
    known = (*registry.definitions, STUB.name)
    if not slash or head in known or target in registry.aliases:
        return
    if any(registry.knows(provider, target) for provider in registry.providers):
        return
    near = difflib.get_close_matches(head, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(registry.definitions)}."
    raise CatalogError(
        f"The alias {name!r} names {target!r}, but there is no provider {head!r}; {hint}"
    )


def refuse_circles(aliases: Mapping[str, tuple[str, ...]]) -> None:
    """Refuses aliases that lead back to themselves, as a ``CatalogError``."""

    def walk(name: str, path: tuple[str, ...]) -> None:
        for target in aliases.get(name, ()):
            if target in path and target in aliases:
                raise CatalogError(f"Aliases go in a circle: {' → '.join((*path, target))}.")
            walk(target, (*path, target))

    for name in aliases:
        walk(name, (name,))
