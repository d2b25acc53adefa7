"""``dragoman models``: what could be asked for, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from dragoman.cli.access import URL, KeyOption, UrlOption
from dragoman.cli.managing import listed
from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail

if TYPE_CHECKING:
    from dragoman.catalog.registry import Registry
    from dragoman.core.provider import Price

SUMMARY = "List the models of the configured providers."

_HELP = """List the models of the configured providers, with context size and prices in USD per million tokens.

Aliases of dragoman.toml come first. The list is the bundled catalogue's and asks no provider; GET /v1/models
of a running gateway has the providers' own lists. An id that is not listed works as well:
provider/any-id goes to that provider.

--live asks a running gateway, with an administrator's key: all that it has, and who has it now.

    dragoman models --provider anthropic

    dragoman models --all --json

    dragoman models --live --contains claude
"""


class Row(Struct, frozen=True):
    """One model of one provider."""

    id: str
    """``provider/model``, as a request may say it."""
    provider: str
    configured: bool
    name: str | None = None
    context_tokens: int | None = None
    input_usd: Decimal | None = None
    output_usd: Decimal | None = None


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("models", help=_HELP, short_help=SUMMARY)(models)


def models(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider's. [all]")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Those of providers without a key as well.")
    ] = False,
    contains: Annotated[
        str | None, typer.Option(help="With --live: a piece of the id, in any case. [all]")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Those of a running gateway, for administrators.")
    ] = False,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists models."""
    if live:
        _live({"provider": provider, "contains": contains}, base_url, key, as_json=as_json)
        return
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.registry import open_registry
    from dragoman.catalog.files import definitions
    from dragoman.config.load import environment
    from dragoman.config.settings import ConfigError

    try:
        registry = open_registry(settings, environment(env_file))
    except ConfigError as error:
        fail(error.message, as_json=as_json)
    known = sorted({*definitions(), *registry.providers})
    if provider is not None and provider not in known:
        fail(f"There is no provider {provider!r}. Known: {', '.join(known)}.", as_json=as_json)
    if provider is not None and provider not in registry.providers and not everything:
        fail(
            f"{provider} is not configured: {_switch(provider)}. "
            f"`dragoman models --provider {provider} --all` lists it nevertheless.",
            as_json=as_json,
        )
    rows = [
        row
        for row in (
            *_aliases(registry),
            *_configured(registry),
            *(_others(registry) if everything else ()),
        )
        if provider in {None, row.provider}
    ]
    listed = {row.provider for row in rows}
    unlisted = [
        name for name in registry.spoken_of() if name not in listed and provider in {None, name}
    ]
    if as_json:
        say_json({"models": rows, "unlisted": unlisted})
        return
    table("Models", ("id", "name", "context", "input", "output"), [_cells(row) for row in rows])
    for name in unlisted:
        say(f"{name}: no bundled list; ask for {name}/any-id, see GET /v1/models of the gateway.")
    if all(each.stub for each in registry.providers.values()):
        say("No provider is configured; export a key, for example OPENAI_API_KEY.")


def _live(query: dict[str, str | None], base_url: str, key: str, *, as_json: bool) -> None:
    """What the gateway tells its administrators."""
    found = listed("/api/admin/models", base_url, key, as_json=as_json, query=query)
    if as_json:
        say_json({"models": found})
        return
    rows = [
        (
            each["id"],
            ", ".join(each["providers"]),
            f"{each['active_providers']} of {len(each['providers'])}",
            each["input_usd"] or "",
            each["output_usd"] or "",
        )
        for each in found
    ]
    table("Models of the gateway", ("id", "providers", "serve now", "input", "output"), rows)


def status() -> str:
    """Which providers are configured."""
    from dragoman.assembly.registry import open_registry
    from dragoman.config.load import environment, load_settings

    registry = open_registry(load_settings({"mode": "local"}), environment(None))
    names = registry.spoken_of()
    return f"ready; {', '.join(names) or 'no provider is'} configured"


def _aliases(registry: Registry) -> Iterator[Row]:
    """The operator's own names; the stub's are listed as its models."""
    for name, targets in registry.aliases.items():
        if not all(target.startswith("stub/") for target in targets):
            yield Row(name, "alias", configured=True, name=f"→ {', '.join(targets)}")


def _configured(registry: Registry) -> Iterator[Row]:
    for name in registry.providers:
        for known in registry.models(name):
            facts = registry.facts(name, known.id)
            yield _row(
                f"{name}/{known.id}" if name != "stub" else known.id,
                name,
                known.name,
                facts.context_tokens if facts is not None else None,
                registry.price(name, known.id, time.time()),
                configured=True,
            )


def _others(registry: Registry) -> Iterator[Row]:
    """What the bundled catalogue knows of providers that are not switched on."""
    from dragoman.catalog.files import definitions
    from dragoman.catalog.models import read_shelves

    absent = {
        name: each
        for name, each in definitions().items()
        if each.prices and name not in registry.providers
    }
    shelves = read_shelves(absent.values())
    for name, each in absent.items():
        shelf = shelves.get(each.prices)
        for model, facts in shelf.ids.items() if shelf is not None else ():
            yield _row(
                f"{name}/{model}",
                name,
                facts.name,
                facts.context_tokens,
                facts.price(time.time()),
                configured=False,
            )


def _row(
    id_: str,
    provider: str,
    name: str | None,
    context: int | None,
    price: Price | None,
    *,
    configured: bool,
) -> Row:
    return Row(
        id=id_,
        provider=provider,
        configured=configured,
        name=name,
        context_tokens=context,
        input_usd=price.input if price is not None else None,
        output_usd=price.output if price is not None else None,
    )


def _cells(row: Row) -> tuple[str, ...]:
    context = f"{row.context_tokens:,}" if row.context_tokens else ""
    name = row.name or ""
    if not row.configured:
        name = f"{name} (no key)".strip()
    return row.id, name, context, _usd(row.input_usd), _usd(row.output_usd)


def _usd(price: Decimal | None) -> str:
    return "" if price is None else f"{price.normalize():f}"


def _switch(provider: str) -> str:
    """What switches a provider on."""
    from dragoman.catalog.files import definitions

    env = definitions()[provider].env
    return f"set {' or '.join(env.key or env.base_url)}"
