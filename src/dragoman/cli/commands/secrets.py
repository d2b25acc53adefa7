"""``dragoman secrets``: by which key the database's own secrets are sealed, and sealing them anew."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from dragoman.cli.output import FAILED, JsonOption, fail, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.config.settings import Settings
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.rewrap import Rewrapped

SUMMARY = "Rotate the key that seals the database's secrets."

_HELP = """Rotate the key that seals the database's secrets, while the gateway serves.

FERNET_KEY is a comma list: the first key seals, all open. Give every gateway the new key behind the old one
(old,new) and restart it, then the new one before the old one (new,old), and then seal anew what is there:

    FERNET_KEY=new,old dragoman secrets rotate

When nothing is left, the old key can be dropped: FERNET_KEY=new.
"""


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("rotate", short_help="Seal everything anew with the first key.")(rotate)
    group.command("status", short_help="Show what each key has sealed.")(state)
    app.add_typer(group, name="secrets")


def rotate(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Seal everything anew with the first key of FERNET_KEY, in small batches; gateways go on serving.

    It may be stopped at any moment, and run again. The exit code is 1 while anything is left.
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)

    async def work() -> Rewrapped:
        from dragoman.core.clock import SystemClock
        from dragoman.store.engine import open_database
        from dragoman.store.schema import check_schema
        from dragoman.store.sql.audit import open_audit
        from dragoman.store.sql.rewrap import rewrap

        sealer = _sealer(settings)
        database = open_database(settings.database)
        try:
            await check_schema(database)
            audit = await open_audit(database, sealer, SystemClock())
            async with noted(audit, "secrets.rotate", sealer.current) as note:
                found = await rewrap(database, sealer, None if as_json else _tell)
                note.after = {"done": found.done, "left": found.left}
            return found
        finally:
            await database.close()

    found = done(work(), as_json=as_json)
    if as_json:
        say_json({"sealed_anew": found.done, "left": found.left, "errors": found.errors})
    else:
        for message, number in found.errors.items():
            sys.stderr.write(f"{number} secrets do not open. {message}\n")
        say(f"{found.done} secrets were sealed anew; {_left(found.left)}")
    if found.left:
        raise typer.Exit(FAILED)


def state(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Show how many secrets each key has sealed, by a mark that gives nothing of the key away."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)

    async def work() -> tuple[dict[str, int], Sealer]:
        from dragoman.store.engine import is_there, open_database
        from dragoman.store.schema import check_schema
        from dragoman.store.sql.rewrap import sealed_by

        if not is_there(settings.database):
            fail("There is no database yet.", as_json=as_json)
        sealer = _sealer(settings)
        database = open_database(settings.database)
        try:
            await check_schema(database)
            return await sealed_by(database), sealer
        finally:
            await database.close()

    counted, sealer = done(work(), as_json=as_json)
    left = sum(number for mark, number in counted.items() if mark != sealer.current)
    if as_json:
        say_json({"in_force": sealer.current, "sealed_by": counted, "left": left})
        return
    for mark, number in sorted(counted.items()):
        say(f"{number} secrets by {mark}: {_word(mark, sealer)}.")
    say(_left(left).capitalize())


def status() -> str:
    """By what kind of key the secrets are sealed."""
    from dragoman.config.load import load_settings

    settings = load_settings({"mode": "local"})
    return "ready, sealed by FERNET_KEY" if settings.fernet_key else "ready, sealed by a file"


def _word(mark: str, sealer: Sealer) -> str:
    if mark == sealer.current:
        return "in force"
    if mark in sealer.marks:
        return "an older key of FERNET_KEY"
    if mark == "fernet":
        return "a key of FERNET_KEY, before keys had marks"
    return "the file in DRAGOMAN_HOME" if mark == "file" else "a key that FERNET_KEY does not have"


def _tell(sealed: int, left: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{sealed} sealed anew, {left} left ")


def _left(number: int) -> str:
    if not number:
        return "nothing is left that an older key has sealed, and older ones can be dropped."
    return f"{number} are left that another key has sealed: keep it, and run `dragoman secrets rotate` again."


def _sealer(settings: Settings) -> Sealer:
    from dragoman.store.seal import open_sealer

    given = settings.fernet_key.get_secret_value() if settings.fernet_key else None
    return open_sealer(settings.dragoman_home, given)
