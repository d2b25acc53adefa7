import json
import re
import sys
import types

import pytest

from dragoman import __version__
from dragoman.cli import discovery
from dragoman.cli.discovery import Found, discover

pytestmark = pytest.mark.req("R-CLI-001", "R-CLI-016", "R-CLI-017")

COMMANDS = [
    "serve",
    "init",
    "set-key",
    "get-key",
    "list-providers",
    "validate",
    "test",
    "auth",
    "reauth",
    "ob1",
    "tenants",
    "projects",
    "keys",
    "tiers",
    "providers",
    "submissions",
    "aliases",
    "routes",
    "policies",
    "credentials",
    "budgets",
    "models",
    "call",
    "chat",
    "status",
    "recommend",
    "explain",
    "requests",
    "metrics",
    "usage",
    "stats",
    "session",
    "caller-usage",
    "report",
    "invoices",
    "track",
    "credits",
    "cleanup",
    "doctor",
    "config",
    "db",
    "secrets",
    "import",
    "export",
    "audit",
    "mock",
    "conformance",
    "completion",
]
GROUPS = (
    "auth",
    "ob1",
    "tenants",
    "projects",
    "keys",
    "tiers",
    "providers",
    "submissions",
    "aliases",
    "routes",
    "policies",
    "credentials",
    "secrets",
    "requests",
    "metrics",
    "budgets",
    "config",
    "db",
    "import",
    "audit",
)
WITHIN = [
    *(f"auth {name}" for name in ("login", "status", "revoke")),
    *(f"ob1 {name}" for name in ("auth", "status", "accounts", "refresh")),
    *(f"ob1 {name}" for name in ("import", "export", "rotation")),
    *(
        f"{group} {name}"
        for group in ("tenants", "projects")
        for name in ("create", "list", "show", "update", "suspend", "resume")
    ),
    *(
        f"keys {name}"
        for name in (
            *("create", "list", "show", "update", "rotate", "suspend", "resume"),
            *("reset-usage", "revoke"),
        )
    ),
    *(f"providers {name}" for name in ("list", "add", "remove", "update", "disable", "enable")),
    *(
        f"{group} {name}"
        for group in ("tiers", "aliases", "routes", "policies")
        for name in ("list", "set", "remove")
    ),
    *(f"submissions {name}" for name in ("list", "hand-in", "adopt", "remove")),
    *(f"requests {name}" for name in ("list", "show")),
    *(f"metrics {name}" for name in ("summary", "providers", "models", "queues")),
    *(
        f"credentials {name}"
        for name in ("list", "add", "remove", "disable", "enable", "test", "rule")
    ),
    *(f"secrets {name}" for name in ("rotate", "status")),
    *(f"config {name}" for name in ("validate", "plan", "reload")),
    *(f"import {name}" for name in ("litellm", "portkey", "new-api", "anygpt", "json")),
    *(f"db {name}" for name in ("upgrade", "downgrade", "current", "check", "backup", "restore")),
    *(f"audit {name}" for name in ("list", "verify")),
]


def test_without_a_command_it_shows_what_is_there_and_whether_it_can_be_used(dragoman):
    code, out, _ = dragoman()
    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert "half-configured" in out
    # Whoever runs the tests may have one running.
    assert re.search(r"(no gateway|a gateway is ready) at http://127\.0\.0\.1:8000", out)


def test_the_same_as_json(dragoman):
    code, out, _ = dragoman("--json")
    told = json.loads(out)
    assert (code, told["version"]) == (0, __version__)
    assert [each["name"] for each in told["commands"]] == COMMANDS
    assert all(each["summary"] and each["status"] for each in told["commands"])
    assert not [
        each for each in told["commands"] if each["status"].startswith(("cannot", "broken"))
    ]


@pytest.mark.parametrize(
    "words", ["--json list-providers", "list-providers --json", "--json keys --prefix"]
)
def test_json_may_be_asked_for_before_the_command_as_well(dragoman, words):
    code, out, _ = dragoman(*words.split())
    assert isinstance(json.loads(out), dict)
    assert code == (2 if "keys" in words else 0), "a wrong call is told as JSON, too"


def test_what_stands_behind_two_dashes_is_no_option(dragoman):
    code, out, _ = dragoman("--json", "recommend", "--", "--json")
    assert code == 0
    assert json.loads(out)["task"]


def test_the_version_is_said_to_people_and_to_programs(dragoman):
    assert dragoman("--version")[:2] == (0, f"dragoman {__version__}\n")
    assert json.loads(dragoman("--json", "--version")[1]) == {
        "name": "dragoman",
        "version": __version__,
    }


def test_an_unknown_command_is_refused_with_the_nearest_one(dragoman):
    code, out, err = dragoman("serv")
    assert code == 2
    assert out == ""
    assert "No such command 'serv'" in err
    assert "'serve'" in err
    assert "-h" in err


@pytest.mark.parametrize("command", [*COMMANDS, *WITHIN])
def test_every_command_teaches_itself_and_speaks_json(dragoman, command):
    code, out, _ = dragoman(*command.split(), "--help")
    assert code == 0
    assert "--help" in out
    assert len(out.splitlines()) >= 8
    if command not in GROUPS:
        assert "--json" in out


def test_help_lists_every_command_with_a_line(dragoman):
    for flag in ("--help", "-h"):
        out = dragoman(flag)[1]
        assert all(f"\n  {name} " in out for name in COMMANDS)


def test_the_list_of_commands_is_made_without_their_options(dragoman, monkeypatch):
    quick = dragoman("--help")
    monkeypatch.setattr("dragoman.cli.main._bare", lambda app: None)
    assert dragoman("--help") == quick


def test_commands_are_found_in_their_folder_in_a_newcomers_order(monkeypatch):
    names = [types.SimpleNamespace(name=name) for name in ("zebra", "mock", "serve")]
    monkeypatch.setattr(discovery.pkgutil, "iter_modules", lambda _: names)
    assert [found.name for found in discover()] == ["serve", "mock", "zebra"]


def test_a_broken_command_is_told_and_breaks_no_other(dragoman, monkeypatch):
    monkeypatch.setitem(sys.modules, "dragoman.cli.commands.models", None)
    code, out, _ = dragoman("--json")
    states = {each["name"]: each["status"] for each in json.loads(out)["commands"]}
    assert code == 0
    assert states["models"].startswith("broken: ModuleNotFoundError")
    assert states["doctor"] == "ready"
    assert dragoman("models")[0] == 2


def test_a_broken_configuration_is_told_in_the_states_and_nowhere_else(dragoman, clean):
    (clean / "dragoman.toml").write_text("nonsense = 1\n")
    code, out, err = dragoman("--json")
    assert (code, err) == (0, "")
    said = {each["name"]: each["status"] for each in json.loads(out)["commands"]}
    for name in ("auth", "ob1", "keys", "call"):
        assert "unknown member 'nonsense'" in said[name], name


def test_every_command_that_needs_a_gateway_says_alike_whether_there_is_one(dragoman, monkeypatch):
    monkeypatch.setenv("DRAGOMAN_BASE_URL", "http://127.0.0.1:9")
    said = {each["name"]: each["status"] for each in json.loads(dragoman("--json")[1])["commands"]}
    for name in ("chat", "explain", "usage", "session", "providers"):
        assert said[name] == "no gateway at http://127.0.0.1:9"


def test_a_state_that_cannot_be_said_is_told_as_such():
    def status():
        raise OSError("no disk")

    command = types.SimpleNamespace(SUMMARY="Does it.", status=status, add_to=None)
    assert Found("it", command).describe() == ("Does it.", "cannot say: no disk")
