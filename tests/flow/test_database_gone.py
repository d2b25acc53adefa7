"""The database's file is deleted or damaged under a running gateway: said, and nothing lost."""

import signal
import subprocess
import sys
import time

from servers import gateway_server, providers_at


def until(what, seconds=10):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_usage_outlives_a_file_that_is_gone_for_a_while(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        assert server.chat(headers={"x-request-id": "before"}).status == 200
        server.row("before")
        file = tmp_path / "home" / "dragoman.db"
        aside = file.rename(tmp_path / "aside.db")
        ready = server.ask("GET", "/ready")
        assert ready.status == 503
        assert "file is gone" in ready.json()["reason"]
        assert server.chat(headers={"x-request-id": "meanwhile"}).status == 200
        usage = server.ask("GET", "/v1/usage")
        assert usage.status == 503
        assert "file is gone" in usage.json()["error"]["message"]
        assert not file.exists()
        aside.rename(file)
        until(lambda: server.ask("GET", "/ready").status == 200)
        until(lambda: "meanwhile" in {row["request_id"] for row in server.rows()})
        server.row("before")


def test_usage_outlives_a_process_that_ended_without_its_file(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        file = tmp_path / "home" / "dragoman.db"
        server.ask("GET", "/v1/usage")
        aside = file.rename(tmp_path / "aside.db")
        assert server.chat(headers={"x-request-id": "meanwhile"}).status == 200
        assert server.stop(signal.SIGTERM) == 0
    aside.rename(file)
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        server.row("meanwhile")


def test_a_damaged_file_is_named_as_such_at_the_start(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dragoman.db").write_bytes(b"no database at all" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "serve", "--local", "--port", "0"],
        env={"DRAGOMAN_HOME": str(home)},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode != 0
    assert "The database file is damaged: stop the gateway, restore a backup" in said
    assert "Traceback" not in said
