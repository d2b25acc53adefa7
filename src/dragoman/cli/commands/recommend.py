"""``dragoman recommend``: which model suits a task, and why."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Recommend models for a task, and say why."

_HELP = """Recommend models for a task, and say why: by what they can do, how good they are held to be, price,
speed and health.

A running gateway is asked, which knows how providers are doing; without one, the catalogue answers.

    dragoman recommend code

    dragoman recommend "summarize long contracts" --limit 3
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("recommend", help=_HELP, short_help=SUMMARY)(recommend)


def recommend(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What is to be done.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 5,
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Asks, and tells."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    try:
        found = Gateway(base_url, key).read("/v1/recommend", {"task": task, "limit": str(limit)})
    except GatewayRefusal as refusal:
        if refusal.status is not None:
            fail(refusal.message, as_json=as_json)
        found = _from_catalogue(task, limit, env_file, as_json=as_json)
    if as_json:
        say_json(found)
        return
    taken = (
        found["task"] if found["recognised"] else "no task that is known: taken for a general one"
    )
    say(f"Task: {taken}; it reads about {found['reads']} tokens and writes {found['writes']}.")
    if not found["data"]:
        say("No configured model suits it; see what was left out with --json.")
        return
    rows = [
        (str(place), each["model"], f"{each['score']:.1f}", "; ".join(each["reasons"]))
        for place, each in enumerate(found["data"], 1)
    ]
    table("Recommended", ("", "model", "score", "why"), rows)
    if found["left_out"]:
        say(f"{len(found['left_out'])} models were left out; --json has the reasons.")


def _from_catalogue(
    task: str, limit: int, env_file: Path | None, *, as_json: bool
) -> dict[str, Any]:
    import msgspec

    from dragoman.assembly.registry import open_registry
    from dragoman.catalog.cards import model_cards
    from dragoman.catalog.recommend import recommend as recommended
    from dragoman.config.load import environment
    from dragoman.config.settings import ConfigError
    from dragoman.core.money import plain
    from dragoman.live_models import candidates_of

    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    try:
        registry = open_registry(settings, environment(env_file))
    except ConfigError as error:
        fail(error.message, as_json=as_json)
    among = candidates_of(model_cards(registry, time.time()), registry, None, 0.0)
    data = msgspec.json.encode(recommended(task, among, limit), enc_hook=plain)
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


def status() -> str:
    """It asks a gateway, or the catalogue."""
    return "ready"
