"""``dragoman conformance``: how well a gateway, ours or another, speaks each dialect."""

from __future__ import annotations

from typing import Annotated

import typer

from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json, table

_PATIENCE_S = 5.0
SUMMARY = "Check how well a gateway or provider speaks each dialect."

_HELP = """Check how well a gateway or provider speaks each dialect, and print a scorecard.

Each surface is asked some twenty small questions: they cost what the model costs. The exit code is 0 if
every mandatory check held, of all surfaces that are offered, 1 if one failed, nobody answers or the key is
refused. A gateway that has no provider yet is checked with its built-in stub, which costs nothing.

    dragoman conformance http://127.0.0.1:8000 --key drg_... --model openai/gpt-4o-mini

    dragoman conformance https://api.anthropic.com --key sk-ant-... --surface anthropic --model claude-haiku-4-5
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("conformance", help=_HELP, short_help=SUMMARY)(conformance)


def conformance(
    url: Annotated[str, typer.Argument(help="Base URL of what is checked.")],
    *,
    key: Annotated[
        str, typer.Option(envvar="DRAGOMAN_API_KEY", help="The key that it wants.")
    ] = "",
    surface: Annotated[
        str, typer.Option(help="Surfaces, with commas between them; all if none is named.")
    ] = "",
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "openai/gpt-4o-mini",
    embedding_model: Annotated[
        str, typer.Option(help="The model to ask for vectors.")
    ] = "openai/text-embedding-3-small",
    as_json: JsonOption = False,
) -> None:
    """Checks surfaces."""
    from dragoman.cli.progress import counted
    from dragoman.conformance.checks import SURFACES, barred, check, is_held
    from dragoman.conformance.link import Link, Unreachable
    from dragoman.conformance.trials import TRIALS

    names = tuple(each.strip() for each in surface.split(",") if each.strip()) or SURFACES
    if unknown := [each for each in names if each not in SURFACES]:
        known = ", ".join(SURFACES)
        fail(f"There is no surface {unknown[0]!r}. Known: {known}.", as_json=as_json, code=USAGE)
    models = {each: embedding_model if each == "embeddings" else model for each in names}
    try:
        link = Link(url, key)
    except Unreachable as error:
        fail(str(error), as_json=as_json, code=USAGE)
    try:
        # Whoever is there says something soon, be it 404: a dead address must not take minutes.
        Link(url, key, _PATIENCE_S).ask("/", None, {})
        refused = barred(link, names, models)
    except Unreachable as error:
        fail(f"Nobody answers at {url}: {error}.", as_json=as_json)
    if refused is not None:
        said = f"{url} answers {refused.status}"
        if not key:
            fail(f"{said}: give the key that it wants with --key.", as_json=as_json)
        fail(f"{said}: it does not accept the key that --key gives.", as_json=as_json)
    try:
        total = len(names) * len(TRIALS)
        findings = list(counted("Checking", check(link, names, models), total))
    except Unreachable as error:
        fail(f"Nobody answers at {url}: {error}.", as_json=as_json)
    held = is_held(findings)
    if as_json:
        say_json({"url": url, "held": held, "checks": findings})
    else:
        rows = [(each.surface, each.check, each.verdict, each.why) for each in findings]
        table(f"Conformance of {url}", ("surface", "check", "verdict", "why"), rows)
        say("Every mandatory check held." if held else "Not every mandatory check held.")
    if not held:
        raise typer.Exit(1)


def status() -> str:
    """It needs nothing here."""
    return "ready"
