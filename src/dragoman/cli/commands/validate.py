"""``dragoman validate``: whether keys and logins are what they should be, and are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from msgspec import Struct

from dragoman.cli.logging_in import failing, opened
from dragoman.cli.output import FAILED, JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail

if TYPE_CHECKING:
    from pathlib import Path

    from dragoman.assembly.logins import Logins
    from dragoman.assembly.user_keys import UserKeys

SUMMARY = "Check keys and logins by their form, and by asking."

_HELP = """Check keys of providers by their form and by a call that costs nothing, and logins by renewing them.

Without a name, everything that is configured is checked. `google` is Google's login by OAuth, and the key of
Gemini beside it if there is one. Exit code 1 where anything is wrong, or nothing is there.

    dragoman validate

    dragoman validate google
"""


class Finding(Struct, frozen=True):
    """What was found of one key or login."""

    name: str
    kind: Literal["key", "login"]
    state: Literal["ok", "warn", "fail"]
    text: str


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("validate", help=_HELP, short_help=SUMMARY)(validate)


def validate(
    name: Annotated[str | None, typer.Argument(help="A provider or a login. [all]")] = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="By its form alone.")] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Checks them (R-CLI-003, R-CRED-003)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.user_keys import configured, known_provider, open_user_keys

    with failing(as_json=as_json):
        keys = open_user_keys(settings, env_file)
        logins = opened(env_file, as_json=as_json)
        has_key = list(configured(keys))
        if name is None:
            wanted, places = has_key, [each for each in logins.known if _is_there(logins, each)]
        elif name in logins.known:
            wanted, places = [name] if name in has_key else [], [name]
        else:
            wanted, places = [known_provider(keys, name).name], []
        findings = [
            *(_key(keys, logins, each, offline=offline) for each in wanted),
            *_twice(keys, wanted, env_file),
            *(each for place in places for each in _login(logins, place, offline=offline)),
        ]
    good = bool(findings) and all(each.state != "fail" for each in findings)
    if as_json:
        say_json({"valid": good, "findings": findings})
    else:
        for each in findings:
            say(f"{_MARKS[each.state]} {each.kind} {each.name}: {each.text}")
        if not findings:
            say("Nothing is configured: store a key by dragoman set-key PROVIDER.")
    if not good:
        raise typer.Exit(FAILED)


_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


def _key(keys: UserKeys, logins: Logins, name: str, *, offline: bool) -> Finding:
    """What is found of one key."""
    from dragoman.catalog.keys import diagnose_key
    from dragoman.core.errors import GatewayError

    definition = keys.known[name]
    try:
        held = keys.find(name)
    except GatewayError as error:
        return Finding(name, "key", "fail", diagnose_key(definition, keys.env) or error.message)
    form = (
        f"the key in {held.place} is odd: {held.fault}" if held.fault else f"found in {held.place}"
    )
    if offline:
        return Finding(name, "key", "fail" if held.fault else "ok", form)
    checked = keys.check(definition, held.key, logins.ask)
    text = f"{form}; {checked.text}"
    match checked.state:
        case "good":
            # A key that works is one, whatever it looks like (D15).
            return Finding(name, "key", "warn" if held.fault else "ok", text)
        case "refused":
            return Finding(name, "key", "fail", text)
        case "unclear":
            tried = definition.key_check or definition.paths.get("models")
            return Finding(name, "key", "fail" if tried or held.fault else "warn", text)


def _twice(keys: UserKeys, wanted: list[str], env_file: Path | None) -> list[Finding]:
    """What is found of keys that two places say differently."""
    from dragoman.config.load import said_twice

    told = said_twice(env_file)
    names = {each: keys.known[each].env for each in wanted}
    return [
        Finding(each, "key", "warn", told[name])
        for each, env in names.items()
        for name in (*env.key, *env.base_url)
        if name in told
    ]


def _is_there(logins: Logins, name: str) -> bool:
    place = logins.login(name)
    if place.form == "accounts":
        return bool(logins.accounts(place).load())
    return logins.shelf(place).path.exists()


def _login(logins: Logins, name: str, *, offline: bool) -> list[Finding]:
    """What is found of one login, or of each of its accounts."""
    from dragoman.core.errors import GatewayError
    from dragoman.credentials.fresh import LoginNeededError

    place = logins.login(name)
    if place.form == "accounts":
        ids = [each.id for each in logins.accounts(place).load()]
        fresh = [(f"{name} {each}", logins.account(place, each)) for each in ids]
        if not fresh:
            why = LoginNeededError(place, f"There is no login for {name}").message
            return [Finding(name, "login", "fail", why)]
    else:
        fresh = [(name, logins.token(name))]
    found = []
    for called, one in fresh:
        try:
            token = one.held()
            if token is None or token.lost:
                one.current()  # says why, and which command helps
            elif not offline and token.refresh is not None:
                one.renewed(token.access.reveal())
            elif not token.is_fresh(_now()):
                one.current()
        except GatewayError as error:
            found.append(Finding(called, "login", "fail", error.message))
        else:
            how = "read" if offline or token is None or token.refresh is None else "renewed"
            found.append(Finding(called, "login", "ok", f"the login is good ({how})"))
    return found


def _now() -> float:
    import time

    return time.time()


def status() -> str:
    """Whether there is anything to check."""
    return "ready"
