"""Importing the package and starting the server touch no network (and an import touches nothing).

Three witnesses: an audit hook sees what Python does, a recording provider sees what the compiled
HTTP client does, and a network namespace without any network shows that nothing is missed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay import Answer, replaying
from servers import free_port, gateway_server, providers_at, running

WATCHED = Path(__file__).with_name("watched")
NOTHING_TOUCHED = """
import sys
seen = []
def watch(event, arguments):
    if event.startswith(("socket.", "subprocess.", "sqlite3.", "urllib.", "http.")):
        seen.append(event)
    elif event in {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}:
        seen.append(f"{event} {arguments[0]}")
    elif event == "open" and (set(str(arguments[1])) & set("wax+") or arguments[2] & 0o1103):
        seen.append(f"open {arguments[0]} {arguments[1]}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
import dragoman
before = list(seen)
import importlib, pkgutil
count = 0
for module in pkgutil.walk_packages(dragoman.__path__, "dragoman."):
    if "__main__" not in module.name and ".migrations." not in module.name:
        importlib.import_module(module.name)
        count += 1
import json
print(json.dumps([before, seen, count]))
"""


def python(code: str, *command: str, timeout: float = 60) -> str:
    """What a fresh interpreter prints."""
    told = subprocess.run(
        [*command, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return told.stdout


@pytest.mark.req("R-TEST-015")
def test_an_import_opens_no_socket_and_writes_no_file():
    alone, everything, modules = json.loads(python(NOTHING_TOUCHED))
    assert alone == []
    assert everything == []
    assert modules > 200


def test_the_watch_itself_sees_what_it_is_for():
    touched = NOTHING_TOUCHED.replace(
        "import dragoman\n", "import dragoman, socket\nsocket.socket().close()\n", 1
    )
    assert json.loads(python(touched))[0] == ["socket.__new__"]


def test_an_import_takes_no_more_than_three_tenths_of_a_second():
    code = (
        "import time; begun = time.perf_counter(); import dragoman; "
        "print(time.perf_counter() - begun)"
    )
    assert min(float(python(code)) for _ in range(3)) <= 0.3


def test_an_import_of_the_package_brings_nothing_heavy_with_it():
    code = (
        "import sys, dragoman; "
        "print([n for n in ('starlette', 'sqlalchemy', 'pydantic', 'typer', 'ry') if n in sys.modules])"
    )
    assert python(code).strip() == "[]"


@pytest.mark.req("R-TEST-015")
def test_python_itself_reaches_for_nothing_beyond_loopback_at_start(tmp_path):
    """``watched/sitecustomize.py`` refuses and writes down every other address."""
    port = free_port()
    reached = tmp_path / "reached"
    environment = {
        "DRAGOMAN_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(WATCHED),
        "REACHED": str(reached),
        "OPENAI_API_KEY": "sk-mock-0123456789abcdef0123456789abcdef",
        "ANTHROPIC_API_KEY": "sk-ant-mock-0123456789abcdef0123456789abcdef",
    }
    command = ["serve", "--local", "--port", str(port)]
    with running(command, port, tmp_path / "log", environment, "/ready") as server:
        assert server.ask("GET", "/health", key=None).status == 200
        assert server.ask("GET", "/metrics", key=None).status == 200
        told = reached.read_text().splitlines()
    assert told[0] == "watching"
    assert told[1:] == []


@pytest.mark.req("R-TEST-015")
def test_no_provider_hears_of_a_start(tmp_path):
    """Listings are asked for when somebody wants them (D13), not before."""
    with (
        replaying() as provider,
        gateway_server(tmp_path, **providers_at(provider.port)) as server,
    ):
        provider.answers[""] = Answer(b'{"error":{"message":"no"}}', 400)
        for page in ("/ready", "/health", "/metrics"):
            assert server.ask("GET", page, key=None).status == 200
        time.sleep(0.5)
        assert provider.seen == []
        server.chat("openai/anything")
        assert [request.method for request in provider.seen] == ["POST"]


IN_A_CELL = """
import fcntl, socket, struct, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING; a new namespace's loopback is down.
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
from servers import gateway_server
folder = Path({folder!r})
with gateway_server(folder) as server:
    assert server.chat().status == 200
    streamed = server.chat(stream=True)
    assert streamed.body.endswith(b"data: [DONE]\\n\\n")
    assert server.ask("GET", "/v1/models").status == 200
print("served", end="")
"""


@pytest.mark.req("R-TEST-015", "R-PROV-009")
def test_the_first_run_works_where_there_is_no_network_at_all(tmp_path):
    cell = ["unshare", "--user", "--map-root-user", "--net"]
    able = (
        shutil.which("unshare")
        and not subprocess.run(
            [*cell, "true"], capture_output=True, check=False, timeout=10
        ).returncode
    )
    if not able:
        pytest.skip("this machine lets nobody make a network namespace (unshare)")
    code = IN_A_CELL.format(tests=str(Path(__file__).resolve().parents[1]), folder=str(tmp_path))
    assert python(code, *cell) == "served"
