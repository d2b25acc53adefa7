"""``dragoman status``: how calls of this machine's programs stand: key, address, switches, counts, gateway."""

from __future__ import annotations

from typing import Any

import typer

from dragoman.cli.output import JsonOption, fail, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Show how the client of the library stands: key, address, switches, counts."

_HELP = """Show how the client stands that programs call models by.

Which provider it asks by default, whether there is a key, its address and patience, what is switched on, what it
has counted, and whether a gateway answers. Nobody is asked but the gateway of DRAGOMAN_BASE_URL;
`dragoman test` tries the provider itself.

    dragoman status --json
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("status", help=_HELP, short_help=SUMMARY)(client_status)


def client_status(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Shows it (R-CLI-007)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.core.errors import GatewayError

    try:
        found = _found(settings, env_file)
    except GatewayError as error:
        fail(error.message, as_json=as_json)
    if as_json:
        say_json(found)
        return
    table("Client", ("what", "now"), [(name, _said(value)) for name, value in found.items()])


def _found(settings: Any, env_file: Any) -> dict[str, Any]:
    import os

    from dragoman.assembly.user_keys import open_user_keys
    from dragoman.cli.access import URL
    from dragoman.cli.gateway import Gateway
    from dragoman.library import own
    from dragoman.library.engines import own_folder
    from dragoman.library.json_file import read_json
    from dragoman.library.templates import OWN_DATA

    folder = own_folder(settings)
    infra = own.read_infrastructure(folder)
    keys = open_user_keys(settings, env_file)
    provider = infra.default_provider
    definition = keys.known.get(provider)
    place = keys.places(definition) if definition is not None else None
    counts = (read_json(folder / OWN_DATA) or {}).get("data") or {}
    url = os.environ.get("DRAGOMAN_BASE_URL", URL)
    return {
        "provider": provider,
        "key": place or ("api_config.json" if provider in infra.keys else None),
        "base_url": infra.base_url,
        "timeout_seconds": infra.timeout_s,
        "enabled": infra.enabled,
        "log_requests": infra.log_requests,
        "log_responses": infra.log_responses,
        "auto_provision": infra.auto_provision,
        "files": str(folder),
        "total_requests": counts.get("total_requests", 0),
        "successful_requests": counts.get("successful_requests", 0),
        "failed_requests": counts.get("failed_requests", 0),
        "callers": list(counts.get("callers_tracked") or ()),
        "gateway": url if Gateway(url, "", timeout_s=1).is_ready() else None,
    }


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def status() -> str:
    """Whether the client can be used."""
    from dragoman.cli.commands.call import status as able

    return able()
