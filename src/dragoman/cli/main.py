"""The command line's front door: finds the commands, shows what is there, routes to one.

Nothing heavy is imported before a command needs it: ``dragoman --help`` is there at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, cast

import typer

from dragoman import __version__
from dragoman.cli.commands.completion import VARIABLE
from dragoman.cli.discovery import Found, discover
from dragoman.cli.output import FAILED, USAGE, JsonOption, say, say_json, table

__all__ = ["make_app", "run"]

_WronglyCalled = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])
"""What Typer raises of a call that no command understands; it gives the class no public name."""

_HELP = """One gateway between every program that uses AI and every provider that serves it.

Start one that anybody on this machine can try:

    dragoman serve --local

Then talk to it:

    dragoman chat "Tell me a story" --model openai/gpt-4o-mini

Or call a model without any server:

    dragoman call "Tell me a story" --model anthropic/claude-sonnet-4-5

Without a command, it shows what is there and whether it can be used.
"""


def run(arguments: Sequence[str]) -> int:
    """Runs one command; the exit code."""
    if VARIABLE in os.environ:
        # A shell asks what may stand here: only then is there anything to complete by.
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
    try:
        # To prepare all of them takes a tenth of a second, which neither one alone nor their list needs.
        named = next((word for word in arguments if not word.startswith("-")), None)
        app = make_app(named)
        if named is None and VARIABLE not in os.environ:
            _bare(app)
        return _ended(app, _json_behind(list(arguments), named))
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)


def _json_behind(arguments: list[str], command: str | None) -> list[str]:
    """The same with ``--json`` behind the command, which it is for wherever it stands."""
    at = arguments.index(command) if command is not None else 0
    if "--json" not in arguments[:at]:
        return arguments
    before = [word for word in arguments[:at] if word != "--json"]
    rest = arguments[at:]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*before, *rest[:end], "--json", *rest[end:]]


def _ended(app: typer.Typer, arguments: list[str]) -> int:
    """The exit code; to programs a wrong call is told as every other failure is (R-CLI-016)."""
    as_json = "--json" in arguments
    try:
        code = app(
            args=arguments,
            prog_name="dragoman",
            complete_var=VARIABLE,
            standalone_mode=not as_json,
        )
    except _WronglyCalled as error:
        say_json({"error": {"message": error.format_message()}})
        return USAGE
    except typer.Abort:
        return FAILED
    return code if isinstance(code, int) else 0


def make_app(name: str | None = None) -> typer.Typer:
    """The program, with every command that could be loaded, or with the one of that name alone."""
    found = discover()
    one = [each for each in found if each.name == name and each.command is not None]
    app = typer.Typer(
        name="dragoman",
        help=_HELP,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def main(
        context: typer.Context,
        *,
        as_json: JsonOption = False,
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and exit.")
        ] = False,
    ) -> None:
        if version:
            _say_version(as_json=as_json)
        elif context.invoked_subcommand is None:
            _introduce(found, as_json=as_json)

    main.__doc__ = _HELP
    for each in one or found:
        if each.command is not None:
            each.command.add_to(app)
    return app


def _bare(app: typer.Typer) -> None:
    """Leaves of the commands what their list shows: names and summaries, without any options."""
    groups = [group.typer_instance for group in app.registered_groups]
    for each in (app, *(group for group in groups if group is not None)):
        for command in each.registered_commands:
            command.callback = _nothing


def _nothing() -> None:
    """Has no options to be prepared."""


def _say_version(*, as_json: bool) -> None:
    if as_json:
        say_json({"name": "dragoman", "version": __version__})
    else:
        say(f"dragoman {__version__}")
    raise typer.Exit


def _introduce(found: Sequence[Found], *, as_json: bool) -> None:
    """What is there, and whether it can be used (R-CLI-001)."""
    rows = [(each.name, *each.describe()) for each in found]
    if as_json:
        say_json(
            {
                "version": __version__,
                "commands": [
                    {"name": name, "summary": summary, "status": status}
                    for name, summary, status in rows
                ],
            }
        )
        return
    table(f"dragoman {__version__}", ("command", "what it does", "here and now"), rows)
    say("dragoman COMMAND --help tells more of each.")
