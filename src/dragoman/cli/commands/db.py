"""``dragoman db``: the database's tables brought up and down, looked over, backed up and restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.config.settings import Settings
    from dragoman.store.checkup import Checkup

SUMMARY = "Upgrade, check, back up and restore the database."

_HELP = """Upgrade, check, back up and restore the database of DATABASE_URL (by default SQLite in DRAGOMAN_HOME).

A backup has every row and no secret that is unsealed. Keep FERNET_KEY, or the file `secret` in DRAGOMAN_HOME,
in another place: without it what is sealed in the backup opens for nobody, you included.

    dragoman db backup /backups/dragoman.backup

    dragoman db restore /backups/dragoman.backup --replace

    dragoman db check
"""


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("upgrade", short_help="Make the tables, or bring them up to date.")(upgrade)
    group.command("downgrade", short_help="Take the tables back to an older version.")(downgrade)
    group.command("current", short_help="Say which version the tables have.")(current)
    group.command("check", short_help="Look for damage, lost rows, sealed secrets.")(check)
    group.command("backup", short_help="Write all rows to a file, while serving.")(backup)
    group.command("restore", short_help="Fill a database from a backup.")(restore)
    app.add_typer(group, name="db")


def upgrade(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Make the tables, or bring them up to date: all of it, or nothing. What is in them stays.

    A gateway of the version before goes on reading them. Back up first.
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)

    async def work() -> tuple[str | None, str | None]:
        from dragoman.store.schema import upgrade as bring_up
        from dragoman.store.schema import version_at

        before = await version_at(settings.database)
        await bring_up(settings.database)
        return before, await version_at(settings.database)

    _tell_versions(*done(work(), as_json=as_json), as_json=as_json)


def downgrade(
    version: Annotated[
        str, typer.Argument(help="The number of the version, or base: no tables at all.")
    ],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="What only newer versions keep may be lost.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the tables back to an older version, after this gateway ended and before an older one starts.

    What only newer versions keep is lost, and with `base` everything: back up first, and say --yes.
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)

    async def work() -> tuple[str | None, str | None]:
        from dragoman.store.schema import downgrade as take_down
        from dragoman.store.schema import refuse_unless_older, version_at

        before = await version_at(settings.database)
        refuse_unless_older(version, before)
        if not yes:
            fail(
                f"What versions after {version} keep would be lost: `dragoman db backup FILE` first, "
                "then say --yes.",
                as_json=as_json,
            )
        _refuse_while_serving(settings, as_json=as_json)
        await take_down(settings.database, version)
        return before, await version_at(settings.database)

    _tell_versions(*done(work(), as_json=as_json), as_json=as_json)


def current(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Say which version the tables have, and which one this Dragoman needs; exit code 1 if they differ."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.store.schema import newest_version, version_at

    has, needs = done(version_at(settings.database), as_json=as_json), newest_version()
    if as_json:
        say_json({"version": has, "newest": needs, "current": has == needs})
    elif has == needs:
        say(f"The tables have version {has}, the newest.")
    else:
        state = "There are no tables" if has is None else f"The tables have version {has}"
        say(f"{state}; this Dragoman needs {needs}: dragoman db upgrade")
    if has != needs:
        raise typer.Exit(1)


def check(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Look the database over, and change nothing; exit code 1 if anything is wrong.

    The version of the tables, damage, rows that belong to nothing, whether the sealed secrets open with
    FERNET_KEY, and journals that wait.
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)

    async def work() -> Checkup:
        from dragoman.store.checkup import check_up
        from dragoman.store.seal import open_sealer

        given = settings.fernet_key.get_secret_value() if settings.fernet_key else None
        sealer = open_sealer(settings.dragoman_home, given)
        return await check_up(settings.database, sealer, settings.dragoman_home)

    found = done(work(), as_json=as_json, what="Looking over the database")
    if as_json:
        say_json(found)
    else:
        for kind, told in (("error", found.errors), ("warning", found.warnings)):
            for sentence in told:
                say(f"{kind}: {sentence}")
        rows = sum(found.rows.values())
        state = "The database is well" if not found.errors else "The database is not well"
        say(f"{state}: version {found.version or 'none'}, {len(found.rows)} tables, {rows} rows.")
    if found.errors:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; whole, or not there at all.")],
    *,
    as_sqlite: Annotated[
        bool,
        typer.Option("--sqlite", help="SQLite's own copy, which SQLite itself opens, too."),
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all rows of one moment to a file, while the gateway serves.

    SQLite and PostgreSQL can both be filled from it, whichever it was written from.
    Secrets stay sealed: keep FERNET_KEY, or the file `secret` in DRAGOMAN_HOME, in another place.
    Usage of the last seconds may still be in journals, which are no part of it.
    """
    from dragoman.store.backup import back_up

    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    writing = back_up(settings.database, file, as_sqlite=as_sqlite)
    made = done(writing, as_json=as_json, what="Writing the backup")
    if as_json:
        say_json({"file": str(file), **_members(made)})
        return
    say(
        f"{file}: {made.rows} rows of {made.tables} tables, version {made.schema}, {made.bytes} bytes."
    )
    say(f"What is sealed in it opens with {_opener(settings)} alone, which is not in it.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `db backup` has written.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Lose every row that is there now.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill the database from a backup: all of it, or nothing is changed. The gateway has to be stopped.

    The whole file is checked before anything is touched. An older backup is brought up to date.
    """
    from dragoman.store.restore import restore as put_back

    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    _refuse_while_serving(settings, as_json=as_json)
    reading = put_back(settings.database, file, replace=replace)
    found = done(reading, as_json=as_json, what="Checking the backup and filling the database")
    if as_json:
        say_json(
            {"file": str(file), "schema": found.schema, "rows": found.rows, "from": found.head}
        )
        return
    say(
        f"{found.rows} rows of {found.tables} tables are back; the tables have version {found.schema}."
    )
    key_file = settings.dragoman_home / "secret"
    if not settings.fernet_key and not key_file.exists():
        say(
            f"No caller's key works before {key_file} is there: copy it from the home that was backed up."
        )
        say("If FERNET_KEY has sealed the backup, set that instead.")
        return
    say(f"dragoman db check tells whether what is sealed opens with {_opener(settings)}.")


def status() -> str:
    """Where the database is."""
    from dragoman.cli.stored import where_keys_are
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings({'mode': 'local'}))}"


def _refuse_while_serving(settings: Settings, *, as_json: bool) -> None:
    from dragoman.config.running import running_gateways

    for _, gateway in running_gateways(settings.dragoman_home):
        fail(
            f"A gateway serves on this home (process {gateway.pid}, port {gateway.port}): stop it first.",
            as_json=as_json,
        )


def _tell_versions(before: str | None, after: str | None, *, as_json: bool) -> None:
    if as_json:
        say_json({"before": before, "version": after})
    elif before == after:
        say(f"The tables have version {after} already; nothing was changed.")
    else:
        say(f"The tables went from {before or 'none'} to {after or 'none'}.")


def _members(value: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(value)


def _opener(settings: Settings) -> str:
    return "FERNET_KEY" if settings.fernet_key else f"the file {settings.dragoman_home / 'secret'}"
