import asyncio
import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError

import pytest

from databases import url_of
from dragoman.cli import checks, footprint
from dragoman.cli.checks import Finding
from dragoman.config.load import load_settings

pytestmark = pytest.mark.req("R-DEV-002")


def state(finding):
    return finding.name, finding.state


@pytest.mark.parametrize(
    ("version", "told"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "fail")]
)
def test_pythons_3_11_to_3_13_will_do(version, told):
    assert checks.check_python(version).state == told


def test_this_python_will_do():
    assert checks.check_python().state == "ok"


def absent(_):
    raise PackageNotFoundError


def test_running_from_source_is_a_warning_and_tells_no_extras():
    assert checks.check_packages(absent).state == "warn"
    assert list(checks.check_extras(absent)) == []


@pytest.mark.parametrize(
    ("packages", "missing", "told"),
    [
        ({f"p{n}": 1 for n in range(45)}, (), "ok"),
        ({f"p{n}": 1 for n in range(46)}, (), "fail"),
        ({"p": 121_000_000}, (), "fail"),
        ({"p": 1}, ("lost",), "fail"),
    ],
)
def test_the_base_stays_small_and_whole(monkeypatch, packages, missing, told):
    found = footprint.Footprint(packages, missing)
    monkeypatch.setattr(footprint, "measure", lambda **_: found)
    finding = checks.check_packages()
    assert finding.state == told
    assert not missing or "lost" in finding.text


def test_extras_are_told_with_the_command_that_adds_them(monkeypatch):
    told = [footprint.Extra("redis", ("redis",)), footprint.Extra("aiohttp", ())]
    monkeypatch.setattr(footprint, "extras", lambda **_: told)
    missing, there = checks.check_extras()
    assert "pip install 'dragoman[redis]'" in missing.text
    assert (missing.state, there.text) == ("ok", "installed")


def test_a_port_is_free_or_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finding = checks.check_port("127.0.0.1", port)
        assert finding.state == "fail"
        assert "--port" in finding.text
    assert checks.check_port("127.0.0.1", 0).state == "ok"


class Somebody(BaseHTTPRequestHandler):
    """Answers ``/health`` as its server says."""

    def do_GET(self):
        body, ours = self.server.told
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        if ours:
            self.send_header("x-dragoman-call-id", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("body", "ours", "state"),
    [
        (b'{"status": "healthy", "version": "9.9", "mode": "local"}', True, "ok"),
        (b'{"status": "healthy", "version": "9.9", "mode": "local"}', False, "fail"),
        (b'{"status": "healthy"}', True, "fail"),
        (b"[]", True, "fail"),
        (b"Hello!", True, "fail"),
    ],
)
def test_a_port_that_a_gateway_of_ours_holds_is_fine_and_said(body, ours, state):
    with HTTPServer(("127.0.0.1", 0), Somebody) as server:
        server.told = body, ours
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        finding = checks.check_port("127.0.0.1", server.server_port)
        server.shutdown()
    assert finding.state == state
    assert ("held by a running Dragoman 9.9" in finding.text) is (state == "ok")


def test_a_mode_is_judged_as_serve_does_said_or_not(clean, monkeypatch):
    unsaid = checks.check_mode(load_settings())
    assert unsaid.state == "fail"
    assert "--local or MODE=local" in unsaid.text
    assert "FERNET_KEY" in unsaid.text
    monkeypatch.setenv("MODE", "prod")
    finding = checks.check_mode(load_settings())
    assert finding.state == "fail"
    assert "FERNET_KEY" in finding.text
    assert checks.check_mode(load_settings({"mode": "local"})) == Finding("mode", "ok", "local")


def test_keys_that_do_not_look_like_their_providers_are_warned_about_and_not_shown(clean):
    settings = load_settings({"mode": "local"})
    assert [state(each) for each in checks.check_providers(settings, {})] == [
        ("providers", "warn")
    ]
    env = {
        "OPENAI_API_KEY": "nonsense-secret-key",
        "ANTHROPIC_API_KEY": "sk-ant-" + "x" * 40,
        "GEMINI_API_KEY": "AIza" + "x" * 40,
    }
    found = list(checks.check_providers(settings, env))
    assert state(found[0]) == ("providers", "ok")
    assert "anthropic" in found[0].text
    assert "openai" in found[0].text
    assert "google" in found[0].text
    assert [each.name for each in found[1:]] == ["key"]
    assert "OPENAI_API_KEY" in found[1].text
    assert "nonsense" not in repr(found)


def test_a_wrong_address_of_a_provider_is_a_fault(clean):
    env = {"OPENAI_API_KEY": "sk-" + "x" * 40, "OPENAI_BASE_URL": "ftp://nowhere"}
    (finding,) = checks.check_providers(load_settings({"mode": "local"}), env)
    assert state(finding) == ("providers", "fail")


def test_a_database_that_is_not_there_yet_will_be_made_where_that_is_possible(clean, monkeypatch):
    finding = asyncio.run(checks.check_database(load_settings({"mode": "local"})))
    assert finding.state == "ok"
    assert "will be made" in finding.text
    assert not (clean / "home").exists()
    (clean / "file").write_text("")
    monkeypatch.setenv("DRAGOMAN_HOME", str(clean / "file" / "home"))
    assert asyncio.run(checks.check_database(load_settings({"mode": "local"}))).state == "fail"


def test_a_database_that_is_there_is_asked(dragoman, clean):
    assert dragoman("keys", "create", "--name", "a")[0] == 0
    settings = load_settings({"mode": "local"})
    assert asyncio.run(checks.check_database(settings)).state == "ok"
    (clean / "home" / "dragoman.db").write_bytes(b"no database at all" * 100)
    assert asyncio.run(checks.check_database(settings)).state == "fail"


def test_a_database_elsewhere_is_named_without_its_password(clean):
    url = "oracle://me:hunter2@example.com/x"
    finding = asyncio.run(
        checks.check_database(load_settings({"mode": "local", "database_url": url}))
    )
    assert finding.state == "fail"
    assert "hunter2" not in finding.text


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (url_of("no_such_database_here"), "the server has no database of that name"),
        ("postgresql://me:hunter2@127.0.0.1:9/x", "refused|no connection is made"),
    ],
)
def test_a_database_that_does_not_answer_is_told_with_the_reason(clean, dragoman, url, why):
    settings = load_settings({"mode": "local", "database_url": url})
    finding = asyncio.run(checks.check_database(settings))
    assert finding.state == "fail"
    assert re.search(why, finding.text, re.IGNORECASE), finding.text
    assert "hunter2" not in finding.text
    (clean / ".env").write_text(f"DATABASE_URL={url}\n")
    code, _, err = dragoman("keys", "list")
    assert (code, err) == (1, finding.text + "\n")


@pytest.mark.parametrize(
    ("url", "state"),
    [
        (None, None),
        ("redis://:hunter2@127.0.0.1:9", "warn"),
        ("http://:hunter2@127.0.0.1:6379", "fail"),
    ],
)
def test_a_redis_is_asked_where_one_is_configured(clean, url, state):
    settings = load_settings({"mode": "local"} | ({} if url is None else {"redis_url": url}))
    found = list(asyncio.run(checks.check_redis(settings)))
    assert [each.state for each in found] == ([] if state is None else [state])
    assert all("hunter2" not in each.text for each in found)


@pytest.mark.req("R-STOR-002")
def test_a_redis_that_answers_is_told(clean):
    settings = load_settings({"mode": "local", "redis_url": "127.0.0.1:6379"})
    found = list(asyncio.run(checks.check_redis(settings)))
    assert [(each.name, each.state) for each in found] == [("redis", "ok")]


def test_node_is_told_and_never_a_fault(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    assert checks.check_node().text.startswith("not found")
    monkeypatch.setattr(checks.shutil, "which", lambda name: f"/bin/{name}")
    assert checks.check_node().text.startswith("node and npm found")


def test_the_doctor_says_yes_to_a_machine_that_can_serve_locally(dragoman):
    code, out, _ = dragoman("doctor", "--local", "--port", "0")
    assert code == 0
    assert "packages (at most 45)" in out
    assert out.endswith("Ready to serve.\n")


def test_the_doctor_does_not_say_ready_where_serve_refuses(dragoman):
    code, out, _ = dragoman("doctor", "--port", "0")
    assert (code, "Ready to serve" in out) == (1, False)
    assert "MODE=local" in out
    assert dragoman("serve", "--port", "0")[0] == 2


def test_the_doctor_says_no_with_1_and_why(dragoman, monkeypatch):
    monkeypatch.setenv("MODE", "prod")
    code, out, _ = dragoman("doctor", "--port", "0", "--json")
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert [each["name"] for each in told["checks"] if each["state"] == "fail"] == ["mode"]
    code, out, _ = dragoman("doctor", "--port", "0")
    assert code == 1
    assert "1 of these must be mended" in out
