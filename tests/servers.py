"""Real processes for the tests: a mock provider and a gateway in front of it.

Nothing is patched: what a test sees went over loopback through the program that users start.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import forge
from databases import copy_tables

KEY = "drg_test"
FAST_MOCK = {
    "MOCK_BASE_DELAY": "0",
    "MOCK_DELAY_VARIANCE": "0",
    "MOCK_ERROR_RATE": "0",
    "MOCK_TIMEOUT_RATE": "0",
    "MOCK_TOKEN_SPEED": "0",
    "MOCK_ENABLE_LOGS": "false",
    "MOCK_SEED": "7",
}
_KEEP = {"PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Reply:
    """An HTTP response, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Server:
    """A process that listens on loopback."""

    process: subprocess.Popen | forge.Forged
    port: int
    log: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=None, key=KEY, timeout=30) -> Reply:
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None and not {"authorization", "x-api-key", "api-key"} & set(sent):
            sent["authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def chat(self, model="openai/gpt-4o-mini", text="Hello!", headers=None, key=KEY, **members):
        body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        return self.ask("POST", "/v1/chat/completions", body, headers, key)

    def message(self, model="anthropic/claude-sonnet-4-5", text="Hello!", headers=None, **members):
        body = {
            "model": model,
            "max_tokens": 200,
            "messages": [{"role": "user", "content": text}],
            **members,
        }
        return self.ask("POST", "/v1/messages", body, headers)

    def rows(self, key=KEY, limit=100) -> list[dict]:
        reply = self.ask("GET", f"/v1/usage?group=request&limit={limit}", key=key)
        assert reply.status == 200, reply.body
        return reply.json()["data"]

    def row(self, request_id, key=KEY) -> dict:
        found = [row for row in self.rows(key) if row["request_id"] == request_id]
        assert len(found) == 1, f"{len(found)} rows for {request_id}"
        return found[0]

    def stop(self, number=signal.SIGTERM, patience=20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    @property
    def said(self) -> str:
        """What it said on stdout, to whoever started it; the log is stderr."""
        file = _stdout_of(self.log)
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def tail(self) -> str:
        return (self.said + self.log.read_text(errors="replace"))[-3000:]


def _stdout_of(log: Path) -> Path:
    return log.with_suffix(".out")


@contextmanager
def running(
    arguments, port, log, environment, ready, patience_s=60.0, *, anew=False
) -> Iterator[Server]:
    """A ``dragoman`` command that serves while the block runs."""
    kept = {name: value for name, value in os.environ.items() if name in _KEEP}
    # Whoever runs the tests may have keys and logins of their own.
    kept["DRAGOMAN_SECRETS"] = str(log.parent / "secrets")
    kept["OB1_CREDENTIALS_FILE"] = str(log.parent / "none.json")
    with _stdout_of(log).open("wb") as output, log.open("wb") as lines:
        process = forge.spawn(
            arguments,
            env={**kept, **environment},
            cwd=log.parent,
            stdout=output,
            stderr=lines,
            anew=anew,
        )
    server = Server(process, port, log, environment)
    try:
        wait_ready(server, ready, patience_s)
        yield server
    finally:
        server.stop()


def wait_ready(server: Server, path: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            pytest.fail(f"the server ended with {server.process.returncode}:\n{server.tail()}")
        try:
            if server.ask("GET", path, key=None, timeout=2).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.03)
    pytest.fail(f"the server was not ready after {seconds} s:\n{server.tail()}")


def providers_at(port: int) -> dict[str, str]:
    """The environment in which every provider is the mock on that port."""
    base = f"http://127.0.0.1:{port}"
    key = "sk-mock-0123456789abcdef0123456789abcdef"
    return {
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": f"{base}/openai/v1",
        "ANTHROPIC_API_KEY": "sk-ant-mock-0123456789abcdef0123456789abcdef",
        "ANTHROPIC_BASE_URL": f"{base}/anthropic",
        "GROQ_API_KEY": "gsk_mock0123456789abcdef0123456789abcdef",
        "GROQ_BASE_URL": f"{base}/groq",
        "OPENROUTER_API_KEY": "sk-or-v1-mock0123456789abcdef0123456789abcdef",
        "OPENROUTER_BASE_URL": f"{base}/openrouter/api/v1",
        "MISTRAL_API_KEY": "mock0123456789abcdef0123456789ab",
        "MISTRAL_BASE_URL": f"{base}/mistral",
        "DEEPSEEK_API_KEY": key,
        "DEEPSEEK_BASE_URL": f"{base}/deepseek",
        "XAI_API_KEY": "xai-mock0123456789abcdef0123456789abcdef",
        "XAI_BASE_URL": f"{base}/xai/v1",
        "OLLAMA_BASE_URL": f"{base}/ollama",
        "GEMINI_API_KEY": "AIza-mock-0123456789",
        "GEMINI_BASE_URL": f"{base}/gemini",
    }


@contextmanager
def mock_server(folder: Path, **environment: str) -> Iterator[Server]:
    port = free_port()
    command = ["mock", "--port", str(port), "--quiet"]
    with running(
        command, port, folder / "mock.log", {**FAST_MOCK, **environment}, "/health"
    ) as up:
        yield up


def make_home(home: Path) -> None:
    """A home in which the tables stand, as the first start would make them, but copied."""
    home.mkdir(mode=0o700)
    (home / "dragoman.db").touch(mode=0o600)
    copy_tables(home / "dragoman.db")


@contextmanager
def gateway_server(
    folder: Path,
    *arguments: str,
    local: bool = True,
    patience_s: float = 60.0,
    anew: bool = False,
    **environment: str,
) -> Iterator[Server]:
    if "DATABASE_URL" not in environment and not (folder / "home").exists():
        make_home(folder / "home")
    port = free_port()
    mode = ["--local"] if local else []
    command = ["serve", *mode, "--port", str(port), *arguments]
    home = {"DRAGOMAN_HOME": str(folder / "home"), "LOG_LEVEL": "info", **environment}
    with running(
        command, port, folder / "gateway.log", home, "/ready", patience_s, anew=anew
    ) as up:
        yield up


def children(process) -> list[int]:
    """The workers of a server."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    named = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return [pid for pid, command in named.items() if b"resource_tracker" not in command]


def until(what, seconds=30):
    """What comes to be true in time."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def beside(server: Server, *arguments: str, code: int = 0) -> str:
    """What the program says that runs beside the server, on the same home, and ends with this code."""
    environment = {**server.environment, "MODE": "local", "PATH": "/usr/bin:/bin"}
    done = forge.run(arguments, env=environment, cwd=server.log.parent)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def new_api_key(server: Server, *arguments: str) -> str:
    """A key of the server's own, made by the program beside it."""
    return json.loads(beside(server, "keys", "create", *arguments, "--json"))["key"]


def asked(mock: Server, model: str) -> int:
    """How many requests with this model's name the provider got."""
    entries = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return sum(entry["model"] == model for entry in entries)
