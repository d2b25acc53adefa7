"""``dragoman mock``: a provider to test against."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dragoman.cli.output import USAGE, JsonOption, fail

SUMMARY = "Start a provider to test against, slow and faulty as told."


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("mock", help=_HELP, short_help=SUMMARY)(mock)


_HELP = """Start a provider to test against; it speaks OpenAI Chat, embeddings, models and Anthropic Messages.

By default it is slow and faulty, on purpose: of all requests 15 % get an error (MOCK_ERROR_RATE=0.15) and
5 % no answer at all (MOCK_TIMEOUT_RATE=0.05), after MOCK_BASE_DELAY=200 ms ± MOCK_DELAY_VARIANCE=100, at
MOCK_TOKEN_SPEED=25 tokens a second. --calm sets errors, timeouts and the variance to 0. /mock/config changes
all of these while it runs. Single requests are scripted by the model's name (gpt-4o--mock-status-503), by x-mock-*
headers or by POST /mock/script. GET /mock/truth tells what was really billed.

    dragoman mock --calm --seed 1

    OPENAI_API_KEY=sk-mock-0000000000 OPENAI_BASE_URL=http://127.0.0.1:3101/v1 dragoman serve --local
"""


def mock(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, envvar="MOCK_PROVIDER_PORT", help="Port; 0 takes a free one."
        ),
    ] = 3101,
    seed: Annotated[
        int | None, typer.Option(help="The same seed rolls the same dice. [MOCK_SEED]")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(envvar="MOCK_TRUTH_FILE", help="Append each request as a JSON line here."),
    ] = None,
    calm: Annotated[
        bool, typer.Option("--calm", help="No errors, no timeouts, always the same delay.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No line for each request.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Starts the mock."""
    import msgspec

    from dragoman.mock import MockConfigError, from_environment, run

    try:
        config = from_environment(os.environ)
    except MockConfigError as error:
        fail(str(error), as_json=as_json, code=USAGE)
    if seed is not None:
        config = msgspec.structs.replace(config, seed=seed)
    if calm:
        config = msgspec.structs.replace(config, error_rate=0, timeout_rate=0, delay_variance=0)
    if quiet:
        config = msgspec.structs.replace(config, enable_logs=False)
    raise typer.Exit(run(config, host=host, port=port, truth_file=truth, as_json=as_json))


def status() -> str:
    """Whether its configuration is right."""
    from dragoman.mock import from_environment

    config = from_environment(os.environ)
    return f"ready; {config.error_rate:.0%} errors, {config.timeout_rate:.0%} timeouts"
