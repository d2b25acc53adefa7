"""The standards test: what every caller of the library can rely on (R-TEST-002), and what credentials never hold."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.catalog.files import definitions
from dragoman.catalog.models import read_shelves
from dragoman.library import templates
from dragoman.library.failures import CallError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "dragoman"
CALLER = """
import json, logging, sys
import dragoman
logging.basicConfig(level="INFO", stream=sys.stderr, format="%(name)s|%(levelname)s|%(message)s")
told = []
for model in (None, None, "openai/gpt-4o-mini", "no/such"):
    try:
        told.append(dragoman.get_response(prompt="Hello!", model=model))
    except Exception as error:
        told.append([type(error).__name__, isinstance(error, dragoman.CallError), str(error)])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """A new caller has called: without a model, with the stub's, and with one that there is not."""
    folder = tmp_path_factory.mktemp("standards")
    program = folder / "flow" / "flow_new.py"
    program.parent.mkdir()
    program.write_text(CALLER)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "DRAGOMAN_HOME": str(folder / "home"), "USE_STUB_ADAPTERS": "true"},
        cwd=folder, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


@pytest.mark.req("R-TEST-002", "R-CFG-004", "R-FILE-001")
@pytest.mark.parametrize(
    ("where", "beginnings"),
    [("flow/flow_json", ("openrouter_skill",)), ("home/api/api_json", ("openrouter", "api"))],
)
def test_the_triple_of_json_files_is_there(called, where, beginnings):
    folder = called[0] / where
    expected = {f"{each}_{kind}.json" for each in beginnings for kind in ("config", "data", "log")}
    assert {path.name for path in folder.glob("*.json")} == expected
    for name in expected:
        assert isinstance(json.loads((folder / name).read_text()), dict)
        assert "\n  " in (folder / name).read_text()


@pytest.mark.req("R-TEST-002", "R-CFG-005", "R-CFG-009", "R-CFG-010")
def test_configs_have_their_structure(called):
    own = json.loads((called[0] / "flow" / "flow_json" / templates.CONFIG).read_text())
    assert set(own) == {"skill_name", "timestamp", "config"}
    assert set(own["config"]) == {"ai_model", "ai_temperature", "ai_max_tokens", "enabled"}
    folder = called[0] / "home" / "api" / "api_json"
    for name, template in (
        (templates.OWN_CONFIG, templates.own_config),
        (templates.API_CONFIG, templates.api_config),
    ):
        held = json.loads((folder / name).read_text())
        assert set(held) == set(template())
        assert set(held["config"]) == set(template()["config"])


@pytest.mark.req("R-TEST-002", "R-ADD-003", "R-CLI-019")
def test_the_logger_is_integrated(called):
    lines = called[2].splitlines()
    assert "dragoman.library|INFO|api_request: caller=flow_new model=openai/gpt-4o-mini" in lines
    errors = [line for line in lines if line.startswith("dragoman.library|ERROR|api_error: ")]
    assert len(errors) == 3
    assert all("caller=flow_new" in line for line in errors)
    assert not logging.getLogger("dragoman").handlers, "handlers are the program's business"


@pytest.mark.req("R-TEST-002", "R-CFG-011", "R-CFG-012", "R-CFG-018")
def test_errors_are_handled_in_words(called):
    first, second, answer, wrong = called[1]
    assert first[0] == second[0] == CallError.__name__
    assert second[2] == "Caller 'flow_new' must specify a model from their config"
    assert first[2].startswith(second[2])
    assert answer.startswith("Hello!")
    assert "no/such" in wrong[2]
    log = json.loads((called[0] / "home" / "api" / "api_json" / templates.API_LOG).read_text())
    assert [each["status"] for each in log["logs"]] == ["error", "error", "success", "error"]
    assert "Traceback" not in called[2]


@pytest.mark.req("R-ADD-006")
def test_folders_of_logs_are_the_programs_business(called):
    assert not [path for path in called[0].rglob("*") if "system_logs" in path.name]


@pytest.mark.req("R-CRED-009", "R-CFG-011", "R-ROUTE-005")
@pytest.mark.parametrize("room", ["credentials", "clients", "library"])
def test_no_model_is_written_down_where_nobody_may_choose_one(room):
    shelves = read_shelves(definitions().values())
    ids = {model for shelf in shelves.values() for model in shelf.ids}
    ids |= {f"{name}/{model}" for name, shelf in shelves.items() for model in shelf.ids}
    allowed = {templates.DEFAULT_CONFIG_TEMPLATE["ai_model"]}
    found = {
        node.value
        for path in (SOURCE / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ids
    }
    assert found <= allowed


@pytest.mark.req("R-CRED-009")
def test_credentials_know_no_work_that_is_done_with_them():
    others = "admission|attempt|accounting|dialects|identity|keeping|library|pipeline|reuse|routing|surface"
    for path in (SOURCE / "credentials").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            rf"^\s*(?:from|import) dragoman\.(?:{others})\b", text, re.MULTILINE
        ), path


@pytest.mark.req("R-ADD-005")
def test_addresses_and_times_of_calls_stand_in_templates_alone():
    for path in (SOURCE / "library").glob("*.py"):
        if path.name != "templates.py":
            assert "openrouter.ai" not in path.read_text(encoding="utf-8"), path.name
