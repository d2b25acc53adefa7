"""``dragoman set-key``: a provider's key is stored, for whoever runs programs here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dragoman.cli.logging_in import failing
from dragoman.cli.output import JsonOption, fail, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Store a provider's key, for your eyes alone."

_HELP = """Store a provider's key: in the file .env of the secrets folder (DRAGOMAN_SECRETS), for your eyes alone,
or in the system's keyring (CREDENTIAL_STORE=keyring). The gateway and commands find it there.

The key is asked for, or read from standard input; it is no argument, for those are seen by everybody
on the machine.

    dragoman set-key openrouter

    pass show openrouter | dragoman set-key openrouter
"""
_MOST = 4096


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("set-key", help=_HELP, short_help=SUMMARY)(set_key)


def set_key(
    provider: Annotated[str, typer.Argument(help="Whose key.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Store it even if it does not look like one.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Forget the key that is stored.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stores or removes it (R-CRED-003, R-CRED-004)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.user_keys import known_provider, open_user_keys
    from dragoman.catalog.files import definitions
    from dragoman.catalog.keys import mask, wrong_form
    from dragoman.credentials.key_store import FileKeys, template

    with failing(as_json=as_json):
        keys = open_user_keys(settings, env_file)
        definition = known_provider(keys, provider)
        name, store = keys.variable(definition), keys.store
        if remove:
            if not store.remove(name):
                fail(f"No key of {provider} is stored in {store.place}.", as_json=as_json)
        else:
            key = _asked(provider)
            fault = wrong_form(definition, key)
            if fault and not force:
                fail(
                    f"Nothing is stored: {fault} (--force stores it all the same).",
                    as_json=as_json,
                )
            if isinstance(store, FileKeys):
                store.make(template(definitions().values()))
            store.put(name, key)
    before = name in keys.exported
    if as_json:
        shown = None if remove else mask(key)
        said = {"provider": provider, "place": store.place, "name": name, "key": shown}
        say_json({**said, "hidden_by_environment": before})
        return
    say(
        f"The key of {provider} is {'no longer' if remove else 'now'} stored in {store.place}, as {name}."
    )
    if before:
        say(f"{name} is also set in the environment or in a .env file here, which goes before it.")


def _asked(provider: str) -> str:
    """The key, from a person who is not watched, or from a pipe."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"Key of {provider} (it is not shown): ").strip()
    return sys.stdin.read(_MOST).strip()


def status() -> str:
    """Where keys go."""
    from dragoman.assembly.user_keys import open_user_keys
    from dragoman.config.load import load_settings

    return f"stores in {open_user_keys(load_settings({'mode': 'local'})).store.place}"
