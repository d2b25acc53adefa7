"""The real program, as a user starts it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest


def dragoman(*arguments, **environment):
    return [sys.executable, "-m", "dragoman", *arguments], {
        **os.environ,
        "MOCK_ENABLE_LOGS": "true",
        **environment,
    }


@contextlib.contextmanager
def started(*arguments, **environment):
    command, env = dragoman(*arguments, **environment)
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def post(port, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), named)
        with connection.getresponse() as response:
            return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.req("R-CLI-016")
def test_help_is_there_at_once():
    code = (
        "import sys; from dragoman.cli.main import run; run(['--help']);"
        "heavy = {'rich', 'pydantic', 'sqlalchemy', 'uvicorn', 'starlette', 'ry', 'aiohttp', 'structlog', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stderr.strip() == "[]"
    spent = []
    # Being watched for coverage would take as long again.
    alone = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    for _ in range(3):
        before = os.times()
        subprocess.run(dragoman("--help")[0], capture_output=True, check=True, env=alone)
        after = os.times()
        spent.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    assert min(spent) < 0.3


@pytest.mark.req("R-CLI-016")
def test_the_version_is_said_before_anything_is_imported():
    code = (
        "import sys; sys.argv[1:] = ['--version']; before = set(sys.modules);"
        "from dragoman.__main__ import main; assert main() == 0;"
        "print(sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("dragoman ")
    assert told.stderr.strip() == "['__future__', 'dragoman', 'dragoman.__main__']"


@pytest.mark.req("R-CLI-016", "R-CLI-017")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["track", "--json"], "Missing argument 'ID'"),
        (["nope", "--json"], "No such command 'nope'"),
        (["call", "hi", "--modle", "x", "--json"], "No such option: --modle"),
        (["serve", "--port", "many", "--json"], "'--port'"),
        (["call", "hi", "--json"], "must specify a model"),
    ],
)
def test_programs_are_told_of_a_wrong_call_as_of_every_failure(tmp_path, words, told):
    command, env = dragoman(*words, DRAGOMAN_HOME=str(tmp_path))
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert told in json.loads(done.stdout)["error"]["message"]


@pytest.mark.req("R-CLI-017")
def test_an_unknown_command_ends_with_a_hint_and_2():
    told = subprocess.run(dragoman("nonsense")[0], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "-h" in told.stderr


@pytest.mark.req("R-MOCK-005", "R-ADD-040")
def test_the_mock_runs_until_sigterm_and_leaves_the_truth_in_a_file(tmp_path):
    truth = tmp_path / "truth.jsonl"
    with started("mock", "--port", "0", "--seed", "1", "--truth", str(truth), "--json") as process:
        ready = json.loads(process.stdout.readline())
        assert ready["pid"] == process.pid
        assert ready["config"]["seed"] == 1
        port = int(ready["url"].rsplit(":", 1)[1])
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        assert post(port, body, x_mock_delay="0", x_mock_text="abcd")[0] == 200
        with pytest.raises(ConnectionResetError):
            post(port, body, x_mock_drop="reset", x_mock_delay="0")
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)) as cut:
            post(
                port,
                body,
                x_mock_cut="9",
                x_mock_cut_mode="reset",
                x_mock_delay="0",
                x_mock_length="1",
            )
        assert cut.type is ConnectionResetError
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        log = process.stderr.read()
    assert len(log.splitlines()) == 3
    assert "200 5+1 tokens" in log
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    # Of the lines of one request the last holds.
    entries = {each["id"]: each for each in lines}.values()
    assert [(each["status"], each["whole"]) for each in entries] == [
        (200, True),
        (None, False),
        (200, False),
    ]


def test_the_mock_says_where_it_listens_and_is_quiet_if_told():
    with started(
        "mock",
        "--quiet",
        MOCK_PROVIDER_PORT="0",
        MOCK_BASE_DELAY="0",
        MOCK_DELAY_VARIANCE="0",
        MOCK_TOKEN_SPEED="0",
        MOCK_ERROR_RATE="0",
        MOCK_TIMEOUT_RATE="0",
    ) as process:
        line = process.stdout.readline()
        assert line.startswith("Mock provider ready: http://127.0.0.1:")
        assert process.stdout.readline() == "   no errors, no timeouts\n"
        assert (
            post(
                int(line.rsplit(":", 1)[1]),
                {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
            )[0]
            == 200
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert process.stderr.read() == ""


def test_the_mock_says_that_its_faults_are_meant_and_how_to_be_rid_of_them():
    with started("mock", "--quiet", "--port", "0", MOCK_ERROR_RATE="0.5") as process:
        process.stdout.readline()
        told = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    assert told.startswith("   50% of requests fail and 5% are never answered, on purpose; --calm")


def test_the_mock_refuses_a_wrong_configuration_and_a_taken_port():
    told = subprocess.run(
        *[dragoman("mock")[0]],
        env=dragoman("mock", MOCK_ERROR_RATE="7")[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "MOCK_ERROR_RATE" in told.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = subprocess.run(
            dragoman("mock", "--port", port)[0], capture_output=True, text=True, check=False
        )
    assert told.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.req("R-SEC-002")
@pytest.mark.parametrize("as_json", [False, True])
def test_a_half_configured_production_is_refused_in_words(tmp_path, as_json):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MODE", "DATABASE_URL", "FERNET_KEY", "CORS_ALLOW_ORIGINS"}
    }
    command = dragoman("serve", "--port", "0", *(["--json"] if as_json else []))[0]
    told = subprocess.run(
        command,
        env={**environment, "DRAGOMAN_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    message = json.loads(told.stdout)["error"]["message"] if as_json else told.stderr
    for words in (
        *("DATABASE_URL", "FERNET_KEY", "CORS_ALLOW_ORIGINS"),
        *("dragoman init --prod", "dragoman serve --local"),
    ):
        assert words in message
    assert "Traceback" not in told.stderr


def test_serve_local_is_ready_answers_a_chat_and_ends_on_sigterm_with_0(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"DRAGOMAN_HOME": str(tmp_path), "USE_STUB_ADAPTERS": "true"}
    with started("serve", "--local", "--port", str(port), **environment) as process:
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
                connection.request("GET", "/ready")
                status = connection.getresponse().status
                connection.close()
                if status == 200:
                    break
            time.sleep(0.1)
        told = subprocess.run(
            dragoman("chat", "hi", "--model", "openai/gpt-4o-mini", "--base-url", url)[0],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert told.returncode == 0, told.stderr
        assert told.stdout.strip()
        shown = subprocess.run(
            dragoman("--json")[0],
            env=dragoman(DRAGOMAN_BASE_URL=url, **environment)[1],
            capture_output=True,
            text=True,
            check=True,
        )
        states = {each["name"]: each["status"] for each in json.loads(shown.stdout)["commands"]}
        assert states["chat"] == f"a gateway is ready at {url}"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        assert process.returncode == 0
