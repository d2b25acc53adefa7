"""The papers against the code: what is generated is up to date, what is named exists, what is shown runs."""

import ast
import functools
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from dragoman.catalog.service import shipped
from dragoman.config.load import load_settings, read_config_file
from dragoman.config.settings import Settings
from dragoman.surface.table import ROUTES
from lacking import lacking

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"


def _document():
    """The script that writes papers, which looks through the source once for all tests here."""
    spec = importlib.util.spec_from_file_location("document", ROOT / "scripts" / "document.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["document"] = module
    spec.loader.exec_module(module)
    for name in ("settings", "_read_names", "papers"):
        setattr(module, name, functools.cache(getattr(module, name)))
    return module


document = _document()
README = (ROOT / "README.md").read_text(encoding="utf-8")
OWN = [
    *(
        ROOT / f"{name}.md"
        for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY")
    ),
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            "ARCHITECTURE",
            "ERROR_TAXONOMY",
            "STREAMING_SPEC",
            "TOOL_CALLING_SPEC",
            "RETRY_FALLBACK_POLICY",
            "MULTI_TENANT_DESIGN",
            "MOCK_SERVER_CONFIG",
            "overruled",
            "fidelity",
            "library",
            "services",
            "policy",
            "admin",
            "keys",
            "oauth",
            "settings",
            "cli",
            "providers",
        )
    ),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]
papers = pytest.mark.parametrize("paper", OWN, ids=lambda path: path.relative_to(ROOT).as_posix())


def prose(path):
    """The page without its fenced and indented blocks."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


# --------------------------------------------------------------------------- what follows from the code


@pytest.mark.req("R-ENV-015")
def test_no_paper_that_is_made_from_the_code_lags_behind_it():
    made = document.papers()
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "made anew by: python scripts/document.py"


@pytest.mark.req("R-ENV-015")
def test_every_setting_stands_in_the_table_with_its_default_and_its_meaning():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = {
        cells[1].strip(" `"): cells
        for cells in (line.split("|") for line in page.splitlines())
        if len(cells) > 4
    }
    for each in document.settings():
        assert each.name in Settings.model_fields
        row = rows[each.name if each.file_only else each.variable]
        assert each.default in row[2]
        assert row[3].strip().endswith("."), f"{each.name} has no sentence in config/settings.py"
    assert {each.name for each in document.settings()} == set(Settings.model_fields)


@pytest.mark.req("R-ENV-015")
def test_every_variable_that_works_stands_in_the_example_with_its_default():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    works, _, later = text.partition("# --- NOT YET")
    shown = dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", works, flags=re.MULTILINE))
    for each in document.settings():
        if each.file_only or each.name == "mode":
            continue
        if each.used:
            assert shown[each.variable] == each.default or each.name in document._FOLDERS
        else:
            assert each.variable not in shown, f"{each.name} would look as if it worked"
            assert each.variable in later
    for definition in document.definitions().values():
        assert {*definition.env.key, *definition.env.base_url} <= set(shown)
        if definition.report is not None:
            assert set(definition.report.env) <= set(shown)
            page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
            assert all(f"| `{name}` |" in page for name in definition.report.env)


def test_what_is_not_built_yet_is_told_apart_and_is_really_read_by_nobody():
    names = [name for group in document.NOT_YET.values() for name in group.split()]
    assert len(names) == len(set(names))
    assert not set(names) & {each.variable for each in document.settings()}
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert not [name for name in names if re.search(rf"\b{name}\b", source)]


def test_the_example_is_a_working_env_file_for_local_mode(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [*Settings.model_fields, "dragoman_config"]:
        monkeypatch.delenv(name.upper(), raising=False)
    example = ROOT / ".env.example"
    assert dotenv_values(example) == {"MODE": "local"}
    assert load_settings(env_file=example).mode == "local"
    everything = tmp_path / "everything.env"
    works = example.read_text(encoding="utf-8").partition("# --- NOT YET")[0]
    everything.write_text(re.sub(r"^#([A-Z][A-Z0-9_]+=)", r"\1", works, flags=re.MULTILINE))
    assert load_settings(env_file=everything).model_dump() == load_settings().model_dump() | {
        "mode": "local"
    }


def test_the_configuration_file_of_the_page_is_read(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    monkeypatch.setenv("VLLM_KEY", "k")
    monkeypatch.setenv("ACME_SECRET", "s")
    file = tmp_path / "dragoman.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")
    assert read_config_file(file)["providers"][0]["credentials"][0]["key"] == "k"
    assert load_settings(config_file=file).aliases["sturdy"][1] == "openai/gpt-5-mini"


def test_a_setting_that_nobody_reads_is_noticed():
    text = document.SETTINGS.read_text(encoding="utf-8")
    assert "mode" in document._read_names()
    assert "nothing_of_this_name" not in document._read_names()
    assert ast.parse(text)


def test_every_command_has_its_section_and_its_options():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    names = [name for name, _ in document.commands()]
    assert {"dragoman serve", "dragoman keys create", "dragoman mock"} <= set(names)
    for name, command in document.commands():
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert section, name
        for option in command.params:
            assert option.opts[-1] in section or option.param_type_name == "argument"


def test_every_route_stands_in_its_paper_and_no_other():
    routers = (ROOT / "docs" / "routers.md").read_text(encoding="utf-8")
    admin = (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")
    for page, rows in (
        (README, [row for row in ROUTES if row.home is None and row.page != "managed"]),
        (admin, [row for row in ROUTES if row.page == "managed"]),
        (routers, [row for row in ROUTES if row.home is not None]),
    ):
        shown = set(re.findall(r"\| `(GET|POST|PUT|PATCH|DELETE) (/[^`]+)` \|", page))
        assert shown == {(row.method, row.path.replace(":path}", "}")) for row in rows}


# --------------------------------------------------------------------------- what is named exists


@pytest.mark.req("R-DOC-002")
@papers
def test_every_paper_has_a_heading_and_something_to_say(paper):
    text = paper.read_text(encoding="utf-8")
    assert re.search(r"^# \S", text, re.MULTILINE)
    assert len(text) > 500


@papers
def test_links_lead_somewhere(paper):
    for target in re.findall(r"\]\(([^)\s]+)\)", paper.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            assert (paper.parent / target.partition("#")[0]).exists(), target


@papers
def test_commands_and_targets_that_are_named_exist(paper):
    # A help text breaks its lines behind hyphens, too.
    text = re.sub(r"-\n\s+", "-", paper.read_text(encoding="utf-8"))
    known = command_names()
    for name in re.findall(r"`dragoman ([a-z][a-z0-9-]*)\b", text):
        assert name in known, name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"`make (?:[A-Z]+=\S+ )*([a-z][a-z-]*)", text):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


@functools.cache
def command_names() -> frozenset[str]:
    return frozenset(name.split()[1] for name, _ in document.commands() if " " in name)


@functools.cache
def variables() -> frozenset[str]:
    known = {each.variable for each in document.settings()}
    known |= {name for name, _, _ in (*document.MOCK, *document.CLIENT, *document.SCRIPTS)}
    known |= {name for group in document.NOT_YET.values() for name in group.split()}
    for definition in document.definitions().values():
        known |= {*definition.env.key, *definition.env.base_url}
    known |= document.report_variables().keys()
    known |= {*document.login_variables(), "ACME_SECRET"}
    known |= {
        "HTTPS_PROXY",
        "FIDELITY_REFEREE",
        "FIDELITY_CORPUS",
        "INDEPENDENT_UPSTREAM_URL",
        "DRAGOMAN_TEST_EXAMPLES",
        "DRAGOMAN_TEST_KILLS",
        "DRAGOMAN_TEST_POSTGRES",
        "DRAGOMAN_TEST_REDIS",
        "VLLM_KEY",
        *(name for table in shipped().values() for name in table.get("env", ())),
    }
    return frozenset(known)


@papers
def test_variables_that_are_named_exist(paper):
    named = re.findall(
        r"`([A-Z][A-Z0-9]+_[A-Z0-9_]+)(?:=[^`]*)?`", paper.read_text(encoding="utf-8")
    )
    assert set(named) <= variables()


@papers
def test_files_of_the_source_that_are_named_exist(paper):
    if paper.name == "MOCK_SERVER_CONFIG.md":
        return
    for name in re.findall(
        r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|toml|md|txt))`", paper.read_text(encoding="utf-8")
    ):
        places = (ROOT / name, ROOT / "src" / "dragoman" / name)
        later = {"docs/transport.md", "routing/strategies"}
        assert name in later or any(place.exists() for place in places), name


CODES = re.compile(r'code="([a-z][a-z_]+)"')
FAULT = re.compile(r'Fault\(\s*"[a-z]+",\s*"([a-z_]+)"')


def test_every_code_of_a_failure_stands_in_the_taxonomy():
    page = (ROOT / "docs" / "ERROR_TAXONOMY.md").read_text(encoding="utf-8")
    hidden = {"bad_listing"}
    """Never reaches a caller."""
    for path in (ROOT / "src").rglob("*.py"):
        if "mock" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        for code in {*CODES.findall(text), *FAULT.findall(text)} - hidden:
            assert f"`{code}`" in page, f"{code} of {path.name}"


@papers
def test_lines_fit_into_120_columns(paper):
    long = [
        line for line in prose(paper).splitlines() if len(line) > 120 and not line.startswith("|")
    ]
    assert not long


@pytest.mark.req("R-DEV-010", "R-FILE-009", "R-SEC-005")
def test_the_readme_and_the_security_page_say_what_they_owe():
    trouble = README.partition("## Troubleshooting")[2].partition("\n## ")[0]
    for owed in ("HTTPS_PROXY", "npm config set", "[DONE]", "production", "make sdk-js"):
        assert owed in trouble, owed
    assert "venv/bin/activate" in README
    assert r"venv\Scripts\activate" in README
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for owed in ("Rotate it at once", "## What is protected", "## What is not", "## Checklist"):
        assert owed in security, owed
    assert "Not there yet" in README


@pytest.mark.req("R-DOC-001")
def test_the_readme_has_everything_that_a_reader_comes_for():
    for title in (
        "Quick start",
        "In a container",
        "The official SDKs",
        "Any client dialect . any provider",
        "Routes",
        "Errors",
        "Streams",
        "Retries and fallback",
        "Configuration",
        "Troubleshooting",
        "Security",
        "Release checklist",
    ):
        assert re.search(rf"^###? {title}$", README, re.MULTILINE), title
    for kind in ("sh", "python", "typescript"):
        assert _fence(kind), kind
    for owed in ("docker run", "GET /metrics", "routing strategies", ".env.example", "[DONE]"):
        assert owed in README, owed


@pytest.mark.parametrize("dialect", ["chat", "anthropic", "gemini", "ollama"])
def test_our_part_of_an_error_stands_where_the_readme_says(dialect, lonely):
    path = {
        "chat": "/v1/chat/completions",
        "anthropic": "/v1/messages",
        "gemini": "/v1beta/models/nope:generateContent",
        "ollama": "/api/chat",
    }[dialect]
    reply = lonely.ask("POST", path, {"model": "nope", "messages": [], "max_tokens": 1})
    told = reply.json()
    match dialect:
        case "gemini":
            [info] = told["error"]["details"]
            assert info["domain"] == "dragoman"
            ours = info["metadata"]
        case "ollama":
            ours = told["dragoman"]
        case _:
            ours = told["error"]["dragoman"]
    assert ours["request_id"] == reply.headers["x-request-id"]
    assert reply.headers["x-error-code"] == "model_not_found"
    section = README.partition("## Errors")[2].partition("\n## ")[0]
    assert "error.details[]" in section
    wrong = lonely.ask("PUT", "/v1/chat/completions", {})
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert "| 405 |" in section


# --------------------------------------------------------------------------- what is shown runs


def _fence(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, flags=re.DOTALL)


CURLS = [
    command.strip()
    for block in _fence("sh")
    for command in block.split("\n\n")
    if command.strip().startswith("curl")
]


def _run(command, **environment):
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        command,
        env={**kept, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.req("R-DOC-004")
@pytest.mark.parametrize(
    "command", CURLS, ids=lambda command: re.search(r"8000(/[\w/]+)", command)[1]
)
def test_each_curl_of_the_readme_is_answered(command, lonely):
    if shutil.which("curl") is None:
        lacking("curl is missing on this machine")
    assert ADDRESS in command
    done = _run(
        [
            "sh",
            "-c",
            command.replace(ADDRESS, lonely.url).replace("curl ", "curl --fail-with-body ", 1),
        ]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if '"stream": true' in command:
        assert done.stdout.rstrip().endswith("data: [DONE]")
    else:
        answer = json.loads(done.stdout)
        assert answer.get("choices") or answer.get("content") or answer["data"] is not None


def test_the_readme_shows_every_kind_of_request():
    shown = {re.search(r"8000(/[\w/]+)", command)[1] for command in CURLS}
    assert shown == {
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/models",
        "/v1/usage",
    }


def _dragoman_lines():
    """Every command of ours in the README: in its blocks, behind an assignment or two, and in its text."""
    blocks = re.findall(r"^(?: {4}|)(?:[A-Z_]+=\S+ )*(dragoman [a-z-].*)$", README, re.MULTILINE)
    text = re.findall(r"`(dragoman [^`]+)`", README)
    # What a shell makes of a line's end is not the program's.
    return sorted({re.split(r"  #| <| &", line)[0].strip() for line in [*blocks, *text]})


@pytest.mark.req("R-DOC-004")
@pytest.mark.parametrize("line", _dragoman_lines())
def test_each_dragoman_command_of_the_readme_resolves(line):
    known = dict(document.commands())
    words = shlex.split(line)
    depth = max(n for n in range(1, len(words) + 1) if " ".join(words[:n]) in known)
    command = known[" ".join(words[:depth])]
    command.make_context(command.name, words[depth:], resilient_parsing=False)


def test_the_readme_says_how_its_commands_are_found_before_the_first_of_them():
    start = README.partition("## Quick start")[2]
    first = re.search(r"^ {4}(?:[A-Z_]+=\S+ )*dragoman ", start, re.MULTILINE)
    assert 0 <= start.index("    . .venv/bin/activate") < first.start()
    assert 'export DRAGOMAN_HOME="$PWD/.dev"' in start[: first.start()]
    assert 'ROOT / ".dev"' in (ROOT / "scripts" / "dev.py").read_text(encoding="utf-8")


@pytest.mark.req("R-DOC-004")
@pytest.mark.parametrize("number", range(2))
def test_the_programs_of_the_readme_run(number, lonely):
    program = _fence("python")[number]
    assert ADDRESS in program
    done = _run([sys.executable, "-W", "error", "-c", program.replace(ADDRESS, lonely.url)])
    assert done.returncode == 0, done.stderr
    assert "built-in stub" in done.stdout


@pytest.mark.req("R-DOC-004")
def test_the_commands_of_the_readme_run(gateway, tmp_path):
    chats = re.findall(r"^ +dragoman (chat .*)$", README, re.MULTILINE)
    chats += re.findall(r"`dragoman (chat [^`]*)`", README)
    keys = re.findall(r"`dragoman (keys create[^`]*)`", README)
    assert chats
    assert keys
    for line in [*chats, *keys]:
        home = {"DRAGOMAN_HOME": str(tmp_path), "DRAGOMAN_BASE_URL": gateway.url}
        done = _run(["sh", "-c", f"{sys.executable} -m dragoman {line}"], **home)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.req("R-DOC-004")
@pytest.mark.parametrize("name", ["openai_sdk.py", "anthropic_sdk.py", "curl.sh"])
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_the_examples_run_against_either_kind_of_provider(name, model, gateway):
    program = ROOT / "examples" / name
    command = [sys.executable, str(program)] if name.endswith(".py") else ["sh", str(program)]
    done = _run(command, DRAGOMAN_BASE_URL=gateway.url, DRAGOMAN_MODEL=model)
    assert done.returncode == 0, done.stderr
    assert "You said: Hello!" in done.stdout
    assert "You said: Tell me a story" in done.stdout.replace("\n", " ") or name == "curl.sh"
    if name == "openai_sdk.py":
        assert "The tool answered: 21 °C and sunny" in done.stdout


@pytest.mark.req("R-WS-013")
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_the_example_of_a_websocket_runs_with_the_key_that_it_is_given(model, gateway):
    command = [sys.executable, str(ROOT / "examples" / "websocket.py")]
    where = {"DRAGOMAN_BASE_URL": gateway.url, "DRAGOMAN_MODEL": model}
    done = _run(command, TEST_API_KEY="drg_example", **where)
    assert done.returncode == 0, done.stderr
    for said in (
        "role: user",
        "You said: Hello!",
        "You said: Tell me a story",
        "You said: Say two",
    ):
        assert said in done.stdout
    refused = _run(command, TEST_API_KEY="nonsense", **where)
    assert refused.returncode == 1
    assert "The API key is not accepted" in refused.stderr


def test_the_examples_run_without_any_provider(lonely):
    for name in ("openai_sdk.py", "anthropic_sdk.py", "websocket.py"):
        done = _run([sys.executable, str(ROOT / "examples" / name)], DRAGOMAN_BASE_URL=lonely.url)
        assert done.returncode == 0, done.stderr
        assert "built-in stub" in done.stdout
        assert "No tool was called" not in done.stdout


@pytest.mark.req("R-DOC-003", "R-TEST-013", "R-SURF-018")
def test_the_models_that_the_readme_promises_are_the_stubs(lonely):
    block = README.partition("<!-- MODEL_DOC_CONTRACT_START -->")[2]
    lines = block.partition("<!-- MODEL_DOC_CONTRACT_END -->")[0].split("\n- ")
    shown = [line.strip().strip("`") for line in lines if line.strip()]
    promised = [name for name in shown if not name.endswith("(example)")]
    assert promised == ["openai/gpt-4o-mini", "openai/text-embedding-3-small"]
    assert "openai/gpt-4o (example)" in shown
    listed = {row["id"] for row in lonely.ask("GET", "/v1/models").json()["data"]}
    assert set(promised) <= listed
