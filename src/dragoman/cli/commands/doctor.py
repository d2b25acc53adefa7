"""``dragoman doctor``: looks over this machine and this installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.output import FAILED, JsonOption, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail

if TYPE_CHECKING:
    from dragoman.cli.checks import Finding
    from dragoman.config.settings import Settings

SUMMARY = "Look over this machine, this installation and its settings."

_HELP = """Look over this machine, this installation and its settings, and say what to mend.

It looks at Python, the installed packages and their size, the port, what MODE demands, the providers'
keys and their form, the database, Redis and the optional parts. Nothing is changed and no provider is asked.
The exit code is 1 if something would keep Dragoman from serving, else 0.

    dragoman doctor --local --port 8080
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("doctor", help=_HELP, short_help=SUMMARY)(doctor)


def doctor(
    *,
    host: Annotated[str | None, typer.Option(help="Address to try. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to try. [8000]")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="As for `dragoman serve --local`.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Looks, and tells."""
    flags = {"mode": "local" if local else None, "host": host, "port": port}
    settings = settings_or_fail(flags, env_file, as_json=as_json)
    from dragoman.config.load import environment

    findings = _look(settings, environment(env_file))
    failed = [finding for finding in findings if finding.state == "fail"]
    if as_json:
        say_json({"ok": not failed, "checks": findings})
    else:
        table(
            "Dragoman's doctor",
            ("", "what", "finding"),
            [(_SIGNS[each.state], each.name, each.text) for each in findings],
        )
        say("Ready to serve." if not failed else f"{len(failed)} of these must be mended.")
    raise typer.Exit(FAILED if failed else 0)


_SIGNS = {"ok": "✓", "warn": "!", "fail": "✗"}


def _look(settings: Settings, env: dict[str, str]) -> list[Finding]:
    import asyncio

    from dragoman.cli import checks

    return [
        checks.check_python(),
        checks.check_packages(),
        checks.check_port(settings.host, settings.port),
        checks.check_mode(settings),
        *checks.check_providers(settings, env),
        asyncio.run(checks.check_database(settings)),
        *asyncio.run(checks.check_redis(settings)),
        *checks.check_extras(),
        checks.check_node(),
    ]


def status() -> str:
    """It can always be asked."""
    return "ready"
