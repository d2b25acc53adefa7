"""Every command as the program that users start: help of each, ``--json``, exit codes, and what R-CLI asks of it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

import forge
from administrators import admin_key, made_key
from dragoman.cli.main import make_app
from servers import gateway_server, mock_server, providers_at

pytestmark = pytest.mark.req("R-CLI-001", "R-CLI-016", "R-CLI-017", "R-CLI-018", "R-CLI-019")


def names(group, before=()):
    """Every command and every command within one, hidden ones as well."""
    for name, command in group.commands.items():
        yield (*before, name)
        if hasattr(command, "commands"):
            yield from names(command, (*before, name))


EVERY = sorted(names(typer.main.get_command(make_app())))


class Shell:
    """Runs the program in an empty folder with a home of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "DRAGOMAN_HOME": str(folder / "home"),
            "DRAGOMAN_SECRETS": str(folder / "secrets"),
            "COLUMNS": "120",
        }

    def __call__(self, *arguments, said="", **environment):
        environment = {**self.environment, **environment}
        return forge.run(arguments, env=environment, cwd=self.folder, given=said, timeout=90)

    def json(self, *arguments, code=0, said="", **environment):
        done = self(*arguments, "--json", said=said, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("mock")) as server:
        yield server


def test_help_of_every_command_teaches(shell):
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda command: shell(*command, "--help"), EVERY))
    assert len(EVERY) > 40
    for command, done in zip(EVERY, told, strict=True):
        assert done.returncode == 0, command
        assert "Usage: dragoman" in done.stdout
        assert "--help" in done.stdout
        assert done.stderr == "", command


@pytest.mark.parametrize(
    "command", [("nonsense",), ("keys", "nonsense"), ("calll",), ("call", "--nonsense")]
)
def test_what_there_is_not_is_told_with_a_hint_and_a_code(shell, command):
    done = shell(*command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(r"No such (command|option)", done.stderr)
    assert "--help" in done.stderr or "-h" in done.stderr


def test_without_a_command_every_module_says_how_it_is(shell):
    told = shell.json()
    assert {each["name"] for each in told["commands"]} == {
        command[0] for command in EVERY
    } - HIDDEN
    assert all(each["summary"] and each["status"] for each in told["commands"])
    assert not [e for e in told["commands"] if re.match("cannot say|broken", e["status"])]
    done = shell()
    assert done.returncode == 0
    assert "here and now" in done.stdout


HIDDEN = {"addProvider", "generateApiKey", "updatemodels", "updateproviders"}


def test_nothing_of_an_introspection_is_left_behind(shell):
    shell.json()
    assert list(shell.folder.iterdir()) == []


@pytest.mark.req("R-CLI-016")
def test_the_version(shell):
    assert re.fullmatch(r"dragoman \d+\.\d+\.\d+\n", shell("--version").stdout)


@pytest.mark.req("R-CLI-008", "R-CFG-011")
def test_a_call_needs_a_model_and_says_so(shell):
    done = shell("call", "Hello!")
    assert done.returncode == 2
    assert "Caller 'cli' must specify a model" in done.stderr
    assert "must specify a model" in shell.json("call", "Hello!", code=2)["error"]["message"]
    assert list(shell.folder.iterdir()) == []


@pytest.mark.req("R-CLI-008")
def test_a_call_without_a_key_says_which_one(shell):
    done = shell("call", "Hello!", "--model", "openai/gpt-4o-mini")
    assert done.returncode == 1
    assert "OPENROUTER_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.req("R-CLI-008", "R-USE-004")
def test_a_call_is_answered_in_this_process_and_counted(shell, mock):
    said = providers_at(mock.port)
    told = shell.json("call", "-", "--model", "openai/gpt-4o-mini", said="Hello!", **said)
    assert told["text"]
    assert told["served_by"] == "openai/gpt-4o-mini"
    assert told["usage"]["total_tokens"] > 0
    assert float(told["cost_usd"]) > 0
    done = shell(
        "call",
        "Hello!",
        "-m",
        "anthropic/claude-sonnet-4-5",
        "--system",
        "x",
        "--caller",
        "me",
        **said,
    )
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "anthropic/claude-sonnet-4-5" in done.stderr
    data = json.loads((shell.folder / "home" / "api" / "api_json" / "api_data.json").read_text())
    assert {name: row["requests"] for name, row in data["usage_by_caller"].items()} == {
        "cli": 1,
        "me": 1,
    }
    away = {**said, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    done = shell("call", "Hello!", "--model", "openai/gpt-4o-mini", **away)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused the connection" in done.stderr


@pytest.mark.req("R-CLI-008")
def test_a_call_goes_to_a_gateway_where_one_is_named(shell, tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("gateway")) as gateway:
        told = shell.json("call", "Hello!", "-m", "openai/gpt-4o-mini", "--gateway", gateway.url)
        assert "stub" in told["text"]
        told = shell.json("status", DRAGOMAN_BASE_URL=gateway.url)
        assert told["gateway"] == gateway.url


@pytest.mark.req("R-CLI-007")
def test_the_status_of_the_client(shell):
    told = shell.json("status")
    assert (told["provider"], told["key"], told["total_requests"]) == ("openrouter", None, 0)
    assert told["base_url"] == "https://openrouter.ai/api/v1"
    assert told["timeout_seconds"] == 30
    key = "sk-or-v1-0123456789abcdef0123456789abcdef0123456789"
    assert shell.json("status", OPENROUTER_API_KEY=key)["key"] == "OPENROUTER_API_KEY"
    done = shell("status", OPENROUTER_API_KEY=key)
    assert done.returncode == 0
    assert key not in done.stdout
    assert "openrouter" in done.stdout


@pytest.mark.req("R-CLI-006")
def test_models_of_the_providers_that_have_a_key_and_of_all(shell):
    some = shell.json("models", OPENAI_API_KEY="sk-0123456789abcdef0123456789abcdef0123456789")
    everything = shell.json("models", "--all")
    assert {each["provider"] for each in some["models"]} == {"openai"}
    assert {"openai", "anthropic", "groq"} <= {each["provider"] for each in everything["models"]}
    assert len(everything["models"]) > len(some["models"]) > 10


@pytest.mark.req("R-CLI-010", "R-CRED-002")
def test_init_writes_a_template_and_never_overwrites(shell):
    assert shell("init").returncode == 0
    assert (shell.folder / ".env").stat().st_mode & 0o777 == 0o600
    before = (shell.folder / ".env").read_text()
    again = shell("init")
    assert again.returncode != 0
    assert "never overwritten" in again.stderr
    assert (shell.folder / ".env").read_text() == before


@pytest.mark.req("R-CLI-020", "R-ADD-042", "R-AUTH-005")
def test_providers_of_a_gateway_are_added_changed_listed_and_removed(
    shell, mock, tmp_path_factory
):
    with gateway_server(tmp_path_factory.mktemp("gateway")) as gateway:
        at = {"DRAGOMAN_BASE_URL": gateway.url, "DRAGOMAN_API_KEY": admin_key(gateway)}
        url = f"http://127.0.0.1:{mock.port}/openai/v1"
        key = "sk-corp-0123456789abcdef0123456789abcdef"
        added = shell.json(
            "addProvider", "corp", "--url", url, "--api-key", "--model", "m-1", said=key, **at
        )
        assert (added["id"], added["base_url"], added["has_key"]) == ("corp", url, True)
        assert key not in json.dumps(added)
        listed = shell.json("providers", "list", **at)["providers"]
        assert "corp" in [each["id"] for each in listed]
        assert gateway.chat("corp/m-1").status == 200
        assert isinstance(shell.json("providers", "update", **at)["models"], dict)
        assert shell.json("updatemodels", **at)["models"]
        done = shell("providers", "list", **at)
        assert done.returncode == 0
        assert "corp" in done.stdout
        assert shell.json("providers", "remove", "corp", **at) == {"removed": "corp"}
        assert gateway.chat("corp/m-1").status == 404
        refused = shell("providers", "list", **{**at, "DRAGOMAN_API_KEY": "drg_test"})
        assert refused.returncode == 1
        assert "403" in refused.stderr
        missing = shell("providers", "list", DRAGOMAN_BASE_URL=gateway.url)
        assert "An administrator's key is needed" in missing.stderr
        home = {"DRAGOMAN_HOME": gateway.environment["DRAGOMAN_HOME"], "MODE": "local"}
        made = shell.json("generateApiKey", "--name", "new", "--role", "admin", **home)
        assert shell.json("providers", "list", **{**at, "DRAGOMAN_API_KEY": made["key"]})


@pytest.mark.req("R-TIER-001", "R-ADM-001", "R-ADM-010", "R-AUTH-012")
def test_names_tiers_and_submitted_keys_of_a_gateway_are_managed(shell, mock, tmp_path_factory):
    providers = providers_at(mock.port)
    with gateway_server(tmp_path_factory.mktemp("managed"), **providers) as gateway:
        at = {"DRAGOMAN_BASE_URL": gateway.url, "DRAGOMAN_API_KEY": admin_key(gateway)}
        home = {"DRAGOMAN_HOME": gateway.environment["DRAGOMAN_HOME"], "MODE": "local"}

        def do(*arguments, **more):
            return shell.json(*arguments, **{**at, **more})

        assert do("aliases", "set", "fast", "openai/gpt-4o-mini")["targets"] == [
            "openai/gpt-4o-mini"
        ]
        assert gateway.chat("fast").status == 200
        assert [each["name"] for each in do("aliases", "list")["aliases"]] == ["fast"]
        assert "stands for" in shell("aliases", "list", **at).stdout
        assert do("aliases", "remove", "fast") == {"removed": "fast"}
        assert gateway.chat("fast").status == 404

        weighted = ("openai/gpt-4o=3", "openai/gpt-4o-mini", "--strategy", "weighted")
        made = do("routes", "set", "spread/all", *weighted)
        assert made["candidates"] == [
            {"model": "openai/gpt-4o", "weight": 3},
            {"model": "openai/gpt-4o-mini", "weight": 1},
        ]
        assert gateway.chat("spread/all").status == 200
        assert "openai/gpt-4o=3" in shell("routes", "list", **at).stdout
        assert shell("routes", "set", "x", "openai/gpt-4o=many", **at).returncode == 2
        do("routes", "remove", "spread/all")

        boss = do("keys", "create", "--name", "boss", "--role", "tenant_admin", **home)["key"]
        own = {"DRAGOMAN_API_KEY": boss}
        do("policies", "set", "mine", "openai/gpt-4o-mini", **own)
        assert [each["name"] for each in do("policies", "list", **own)["policies"]] == ["mine"]
        assert gateway.chat("mine", key=boss).status == 200
        assert gateway.chat("mine", key="drg_other").status == 404
        do("policies", "remove", "mine", **own)
        assert "403" in shell("aliases", "list", **{**at, **own}).stderr

        do("tiers", "set", "small", "--rpm", "1")
        found = do("tiers", "set", "small", "--concurrency", "5")
        assert (found["rpm"], found["concurrency"]) == (1, 5), "what is left out stays"
        assert shell("tiers", "set", "small", **at).returncode == 2
        key = do("keys", "create", "--name", "small", "--tier", "small", **home)["key"]
        assert [gateway.chat(key=key).status for _ in range(2)] == [200, 429]
        assert "409" in shell("tiers", "remove", "small", **at).stderr, "a key has it"
        assert "small" in shell("tiers", "list", **at).stdout

        handed = "sk-handed-in-0123456789abcdef0123456789abcdef"
        given = do("submissions", "hand-in", "openai", "--tier", "2", said=handed)
        assert handed not in json.dumps(given)
        (waiting,) = do("submissions", "list")["submissions"]
        assert (waiting["state"], waiting["tier"]) == ("waiting", 2)
        assert do("submissions", "adopt", waiting["id"])["state"] == "adopted"
        do("submissions", "remove", waiting["id"])
        assert do("submissions", "list") == {"submissions": []}

        assert do("providers", "disable", "openai")["enabled"] is False
        assert gateway.chat("openai/gpt-4o").status == 404
        assert do("providers", "enable", "openai")["enabled"] is True
        assert gateway.chat("openai/gpt-4o").status == 200


@pytest.mark.req("R-AUTH-012", "R-CLI-016")
def test_a_key_asks_what_it_may_use_and_has_used(shell, mock, tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("own"), **providers_at(mock.port)) as gateway:
        admin = admin_key(gateway)
        limits = {"rpm": 60, "max_tokens": 5000}
        made = made_key(gateway, admin, "alice", limits=limits)
        budget = {"each": "key", "daily_usd": "5"}
        assert gateway.ask("PUT", "/api/admin/budgets/pocket", budget, key=admin).status == 201
        assert gateway.chat("openai/gpt-4o-mini", key=made["key"], max_tokens=50).status == 200
        at = {"DRAGOMAN_BASE_URL": gateway.url, "DRAGOMAN_API_KEY": made["key"]}
        told = shell.json("keys", "me", **at)
        there = gateway.ask("GET", "/v1/keys/me", key=made["key"]).json()
        assert {**told, "timestamp": ""} == {**there, "timestamp": ""}
        done = shell("keys", "me", **at)
        assert (done.returncode, done.stderr) == (0, "")
        used, left = told["totalTokenUsage"], told["remainingTokens"]
        assert f"Key {made['id']} " in done.stdout
        assert made["key"] not in done.stdout
        assert "Limits: 60/min, 5000 tokens." in done.stdout
        assert f"Used: {used} tokens, {told['estimatedCost']} USD; {left}" in done.stdout
        assert "of 5000 tokens are left. Requests: 1, of them today: 1." in done.stdout
        assert "Budget 'pocket' of the key: " in done.stdout
        assert "of 5 USD daily left" in done.stdout
        refused = shell("keys", "me", **{**at, "DRAGOMAN_API_KEY": "nobody's"})
        assert (refused.returncode != 0, refused.stdout) == (True, "")


@pytest.mark.req("R-ADM-003", "R-CLI-016")
def test_what_a_gateway_serves_is_told_to_its_administrators(shell, mock, tmp_path_factory):
    providers = providers_at(mock.port)
    with gateway_server(tmp_path_factory.mktemp("told"), **providers) as gateway:
        at = {"DRAGOMAN_BASE_URL": gateway.url, "DRAGOMAN_API_KEY": admin_key(gateway)}

        def do(*arguments):
            return shell.json(*arguments, **at)

        for model in ("openai/gpt-4o", "groq/llama-3.1-8b-instant", "openai/gpt-4o"):
            assert gateway.chat(model).status == 200
        assert gateway.chat("openai/gpt-4o--mock-status-400").status == 400
        told = do("metrics", "summary")
        assert (told["usage"]["requests"], told["usage"]["failed_requests"]) == (4, 1)
        (failed,) = told["errors"]["by_code"]
        assert (failed["provider"], failed["requests"]) == ("openai", 1)
        assert do("metrics", "summary", "--tenant", "nobody")["usage"]["requests"] == 0
        rows = {row["provider"]: row for row in do("metrics", "providers")["providers"]}
        assert (rows["openai"]["usage"]["requests"], rows["groq"]["usage"]["requests"]) == (3, 1)
        (row,) = do("metrics", "models", "--provider", "groq")["models"]
        assert (row["model"], row["usage"]["requests"]) == ("llama-3.1-8b-instant", 1)
        assert do("metrics", "queues")["active_requests"] == 0
        live = do("models", "--live", "--provider", "openai", "--contains", "GPT-4o")["models"]
        path = "/api/admin/models?provider=openai&contains=gpt-4o"
        there = gateway.ask("GET", path, key=at["DRAGOMAN_API_KEY"]).json()["data"]
        assert live == there
        assert "openai" in live[0]["providers"]
        done = shell("models", "--live", **at)
        assert (done.returncode, "openai/gpt-4o" in done.stdout) == (0, True), done.stderr
        assert "403" in shell("models", "--live", **{**at, "DRAGOMAN_API_KEY": "drg_test"}).stderr
        for name in ("summary", "providers", "models", "queues"):
            done = shell("metrics", name, **at)
            assert (done.returncode, done.stderr) == (0, "")
            assert "openai" in done.stdout or name == "queues"

        calls = do("requests", "list")["requests"]
        assert [each["provider"] for each in calls] == ["openai", "openai", "groq", "openai"]
        (newest, second) = do("requests", "list", "--limit", "2")["requests"]
        assert [newest["call_id"], second["call_id"]] == [each["call_id"] for each in calls[:2]]
        assert do("requests", "list", "--provider", "groq")["requests"] == [calls[2]]
        assert do("requests", "list", "--status", "complete")["requests"] == calls[1:]
        assert do("requests", "list", "--error-code", "none")["requests"] == []
        explained = do("requests", "show", calls[2]["call_id"])
        assert explained["attempts"][0]["model"] == "groq/llama-3.1-8b-instant"
        assert calls[2]["call_id"] in shell("requests", "list", **at).stdout
        shown = shell("requests", "show", calls[2]["call_id"], **at).stdout
        assert shown.startswith("tenant ")
        assert "attempt     1. groq/llama-3.1-8b-instant" in shown
        assert "404" in shell("requests", "show", "nobody", **at).stderr
        assert "403" in shell("metrics", "queues", **{**at, "DRAGOMAN_API_KEY": "drg_test"}).stderr


@pytest.mark.req("R-ADM-002", "R-TIER-004", "R-SURF-012")
def test_what_a_key_has_used_counts_anew(shell, mock, tmp_path_factory):
    providers = providers_at(mock.port)
    with gateway_server(tmp_path_factory.mktemp("anew"), **providers) as gateway:
        home = {"DRAGOMAN_HOME": gateway.environment["DRAGOMAN_HOME"], "MODE": "local"}
        made = shell.json("keys", "create", "--name", "a", "--max-tokens", "60", **home)
        key = made["key"]
        while gateway.chat(key=key, max_tokens=20).status == 200:
            pass
        assert gateway.chat(key=key, max_tokens=20).status == 429
        own = gateway.ask("GET", "/v1/keys/me", key=key)
        assert own.status == 200, "what it has used is told all the same"
        assert own.json()["remainingTokens"] < 60
        assert shell.json("keys", "reset-usage", made["id"], **home)["id"] == made["id"]
        deadline = time.monotonic() + 20
        while gateway.chat(key=key, max_tokens=20).status != 200:
            assert time.monotonic() < deadline, "a running gateway notices"
            time.sleep(0.2)
        assert "There is no key" in shell("keys", "reset-usage", "nobody", **home).stderr


def watched(shell, *arguments, **environment):
    """What a person sees on standard error, and what a pipe gets, where the one looks and the other is read."""
    person, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dragoman", *arguments],
            env={**shell.environment, "TERM": "xterm", **environment}, cwd=shell.folder,
            stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=120, check=False,
        )  # fmt: skip
        os.set_blocking(person, False)
        seen = b""
        while True:
            try:
                seen += os.read(person, 65536)
            except (BlockingIOError, OSError):
                return done, seen.decode(errors="replace")
    finally:
        os.close(person)
        os.close(terminal)


@pytest.mark.req("R-CLI-019")
def test_long_work_shows_a_person_that_it_goes_on_and_a_pipe_nothing_of_it(shell, mock):
    shell.json("db", "upgrade", MODE="local")
    done, seen = watched(shell, "db", "backup", "copy.backup")
    assert done.returncode == 0
    assert "Writing the backup …" in seen
    assert "Writing the backup" not in done.stdout
    said = providers_at(mock.port)
    done, seen = watched(shell, "call", "Hello!", "-m", "openai/gpt-4o-mini", **said)
    assert "Waiting for openai/gpt-4o-mini …" in seen
    assert done.stdout.startswith("You said: Hello!")
    target = f"http://127.0.0.1:{mock.port}/openai"
    done, seen = watched(
        shell,
        "conformance",
        target,
        "--surface",
        "embeddings",
        "--key",
        "sk-mock-0123456789abcdef",
    )
    assert "Checking" in seen
    assert "Checking" not in done.stdout
    assert shell("db", "backup", "again.backup").stderr == ""


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script_that_asks_the_program(shell, shell_name):
    done = shell("completion", shell_name)
    assert done.returncode == 0
    assert "_DRAGOMAN_COMPLETE" in done.stdout
    assert shell.json("completion", shell_name)["script"] + "\n" == done.stdout


def test_what_may_stand_somewhere_is_told_to_the_shell(shell):
    def offered(words):
        asked = {
            "_DRAGOMAN_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        return shell(
            **asked, OPENAI_API_KEY="sk-0123456789abcdef0123456789abcdef0123456789"
        ).stdout.split()

    assert offered("dragoman comp") == ["completion"]
    assert set(offered("dragoman keys ")) >= {"create", "list", "revoke"}
    assert "--model" in offered("dragoman call --m")
    assert offered("dragoman call x --model op") == ["openai/"]
    assert "openai/gpt-4o-mini" in offered("dragoman call x --model openai/gpt-4o")


def test_bash_itself_completes(shell):
    done = subprocess.run(
        ["bash", "-c", 'eval "$(dragoman completion bash)" && complete -p dragoman'],
        env=shell.environment, cwd=shell.folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "dragoman" in done.stdout
