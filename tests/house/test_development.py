"""What someone who works on the project, or installs it, is promised: commands, versions, places."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from dragoman.config.folders import default_home
from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def dev(port, tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "scripts/dev.py", "--port", str(port)],
        cwd=ROOT,
        env={**kept, "DRAGOMAN_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.req("R-DEV-003")
def test_make_dev_says_when_it_is_ready_and_what_to_try_and_ends_when_told(tmp_path):
    assert "scripts/dev.py --port $(PORT)" in MAKEFILE
    port = free_port()
    process = dev(port, tmp_path)
    try:
        said = ""
        while "export its key" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert f"✅ Server ready: http://127.0.0.1:{port}" in said
        assert len(re.findall(r"^ +(?:curl|\.venv/bin/dragoman chat) ", said, re.MULTILINE)) == 3
        assert_the_doctor_finds_it(port, tmp_path)
        second = dev(port, tmp_path)
        assert f"PORT={port + 1}" in second.communicate(timeout=20)[0]
        assert second.returncode == 1
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def assert_the_doctor_finds_it(port, tmp_path):
    """`make doctor` is asked for the home of `make dev`, and takes its gateway for no fault."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    told = subprocess.run(
        [sys.executable, "-m", "dragoman", "doctor", "--local", "--port", str(port), "--json"],
        env={**kept, "DRAGOMAN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {each["name"]: each for each in json.loads(told.stdout)["checks"]}
    assert found["port"]["state"] == "ok"
    assert "held by a running Dragoman" in found["port"]["text"]
    assert str(tmp_path / "home") in found["database"]["text"]


def test_the_doctor_looks_at_the_home_of_make_dev():
    recipe = re.search(r"^doctor:.*\n\t(.*)$", MAKEFILE, re.MULTILINE)[1]
    assert 'DRAGOMAN_HOME="$${DRAGOMAN_HOME:-$(CURDIR)/.dev}"' in recipe
    script = (ROOT / "scripts" / "dev.py").read_text(encoding="utf-8")
    assert 'os.environ.get("DRAGOMAN_HOME", ROOT / ".dev")' in script


@pytest.mark.req("R-DEV-006")
@pytest.mark.parametrize("target", ["dev", "build", "start", "test", "test-mock"])
def test_every_script_of_the_former_kind_has_its_target(target):
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe, target


@pytest.mark.req("R-DEV-008")
def test_the_pythons_that_are_promised_are_those_that_are_installed_with():
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert named == ["3.11", "3.12", "3.13"]
    chosen = subprocess.run(
        [sys.executable, "scripts/interpreter.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    program = chosen.stdout.strip()
    version = subprocess.run(
        [program, "-c", "import sys, venv; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (3, 11) <= tuple(map(int, version.stdout.split())) < (3, 14)


@pytest.mark.req("R-DEV-009")
@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-all.txt", "requirements-dev.txt"]
)
def test_pip_installs_from_files_that_pin_every_package_by_its_hash(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    packages = re.findall(r"^([a-z][\w.-]*(?:\[[\w,]+\])?)==[^ ;\\]+", text, re.MULTILINE)
    assert len(packages) > 20
    pieces = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in piece for piece in pieces)
    if name == "requirements.txt":
        direct = {
            re.match(r"[\w-]+", line)[0].lower() for line in PROJECT["project"]["dependencies"]
        }
        assert direct <= {re.sub(r"\[.*", "", package) for package in packages}
        assert "ry" not in packages
        assert "aiohttp" not in packages


@pytest.mark.req("R-DEV-009")
def test_what_installs_the_rest_is_pinned_as_it_is_for_developers():
    alone = (ROOT / "requirements-installer.txt").read_text(encoding="utf-8")
    assert re.match(r"uv==[\d.]+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+\Z", alone)
    assert alone in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")


@pytest.mark.req("R-DEV-009")
@pytest.mark.parametrize("has_uv", [True, False])
def test_pip_installs_where_uv_does_not_run_and_hashes_are_asked_for_either_way(tmp_path, has_uv):
    """The environment is one whose installers only write down how they were called."""
    called = tmp_path / "called.txt"
    for name, status in (("pip", 0), ("uv", 0 if has_uv else 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "__main__.py").write_text(
            f"import sys\nprint({name!r}, *sys.argv[1:], file=open({str(called)!r}, 'a'))\n"
            f"sys.exit({status})\n",
            encoding="utf-8",
        )
    subprocess.run(
        [sys.executable, "scripts/install.py", "--editable", "requirements.txt"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
    )
    locked, itself = called.read_text(encoding="utf-8").splitlines()[-2:]
    begin = "uv pip install" if has_uv else "pip install"
    assert locked.startswith(begin)
    assert itself.startswith(begin)
    assert "--no-deps --require-hashes -r requirements.txt" in locked
    assert itself.endswith("--no-deps --editable .")


@pytest.mark.req("R-DEV-011")
def test_tests_leave_what_belongs_to_the_user_alone(lonely):
    home = Path(lonely.environment["DRAGOMAN_HOME"])
    assert home.is_dir()
    assert default_home() not in (home, *home.parents)
    assert ROOT not in home.parents


@pytest.mark.req("R-DEV-012")
@pytest.mark.parametrize(
    ("function", "module", "name"),
    [
        ("server", "dragoman.server", "serve"),
        ("core/models", "dragoman.core.request", "Request"),
        ("core/errors", "dragoman.core.errors", "GatewayError"),
        ("core/http_client", "dragoman.transport.http", "open_transport"),
        ("adapters/openai", "dragoman.dialects.chat", "CHAT"),
        ("adapters/anthropic", "dragoman.dialects.anthropic", "ANTHROPIC"),
        ("adapters/stub", "dragoman.transport.stub", "StubTransport"),
        ("routing/router", "dragoman.routing.route", "route"),
        ("routing/fallback", "dragoman.attempt.attempt", "attempt"),
        ("routing/circuit_breaker", "dragoman.health.breaker", None),
        ("routing/health", "dragoman.health.health", "Health"),
        ("streaming/normalizer", "dragoman.dialects.translate", "Translation"),
        ("streaming/tool_calls", "dragoman.dialects.chat.stream_calls", None),
        ("tools/normalizer", "dragoman.dialects.chat.read_tools", None),
        ("observability/metrics", "dragoman.telemetry.metrics", "Metrics"),
        ("observability/logging", "dragoman.telemetry.log", None),
        ("usage/tracker", "dragoman.accounting.account", "Accountant"),
        ("usage/pricing", "dragoman.accounting.price", None),
        ("usage/limits", "dragoman.admission.admit", "admit"),
        ("api/routes", "dragoman.surface.table", "ROUTES"),
        ("auth/middleware", "dragoman.identity.authenticate", "authenticate"),
        ("db/models", "dragoman.store.tables", None),
    ],
)
def test_every_function_of_the_former_tree_has_its_place(function, module, name):
    found = import_module(module)
    assert found.__doc__, function
    assert name is None or hasattr(found, name), (function, name)
