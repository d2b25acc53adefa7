"""``dragoman serve``: the gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from dragoman.cli.output import USAGE, JsonOption, fail, say
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Start the gateway."

_NO_ADDRESS = 3
"""Exit code of a start that failed for its address, as it is where a worker cannot start."""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("serve", help=_HELP, short_help=SUMMARY)(serve)


_HELP = """Start the gateway and serve until SIGTERM or Ctrl-C, which let open streams end first.

MODE is prod unless something else is said: it refuses to start before DATABASE_URL, FERNET_KEY and
CORS_ALLOW_ORIGINS are set; `dragoman init --prod` writes them. --local needs none of them and accepts
any well-formed key, such as drg_test, from this machine.

Providers are switched on by their keys in the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY,
GROQ_API_KEY, OPENROUTER_API_KEY, … ; <NAME>_BASE_URL points one elsewhere. With no key at all a
built-in stub answers in local mode.

    dragoman serve --local

    OPENAI_API_KEY=sk-… dragoman serve --local --port 8080
"""


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on. [8000]")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that share the port. [1]")
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="MODE=local: for one person on this machine.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Starts the gateway."""
    flags = {
        "mode": "local" if local else None,
        "host": host,
        "port": port,
        "workers": workers,
    }
    settings = settings_or_fail(flags, env_file, as_json=as_json)
    _import_plainly()
    from dragoman import server
    from dragoman.config.load import doubtful_names, said_twice
    from dragoman.core.errors import GatewayError

    try:
        for sentence in (*doubtful_names(env_file), *said_twice(env_file).values()):
            say(f"Warning: {sentence}")
        code = server.serve(settings, env_file)
    except GatewayError as error:
        code = _NO_ADDRESS if error.code == "address_unavailable" else USAGE
        fail(error.message, as_json=as_json, code=code)
    raise typer.Exit(code)


def _import_plainly() -> None:
    """Imports structlog without what it colours consoles by, which no log of ours has (D32: 70 ms and 5 MB)."""
    import sys

    hidden = [name for name in ("attr", "rich") if name not in sys.modules]
    # None there is Python's way to say that a module cannot be had.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        import structlog  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


def status() -> str:
    """Whether it would start."""
    from dragoman.config.load import load_settings
    from dragoman.config.settings import check_serving
    from dragoman.core.errors import GatewayError

    try:
        settings = load_settings()
        check_serving(settings)
    except GatewayError as error:
        return f"{error.message.splitlines()[0].rstrip(':')}; --local would start"
    return f"ready in MODE={settings.mode} on {settings.host}:{settings.port}"
