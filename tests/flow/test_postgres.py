"""The gateway on PostgreSQL: keys, ledger and kept responses outlive the process that wrote them."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.fernet import Fernet

import forge
from databases import a_database
from servers import gateway_server, providers_at


@pytest.fixture
def url(tmp_path):
    """The URL of an empty database on a real server."""
    with a_database("postgresql", tmp_path, tables=False) as made:
        yield made


def command(*arguments: str, url: str, home):
    environment = {"DATABASE_URL": url, "DRAGOMAN_HOME": str(home), "PATH": os.environ["PATH"]}
    done = forge.run(arguments, env=environment, cwd=home.parent)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_answered_before_a_kill_is_in_the_ledger_once(mock, tmp_path, url, workers):
    home = tmp_path / "home"
    key = command("keys", "create", "--name", "alice", "--json", url=url, home=home)
    settings = {**providers_at(mock.port), "DATABASE_URL": url}
    many = ("--workers", str(workers))
    asked = [f"call-{number}" for number in range(20)]
    with gateway_server(tmp_path, *many, **settings) as server:
        for name in asked:
            reply = server.chat(headers={"x-request-id": name}, key=key["key"])
            assert reply.status == 200, reply.body
        kept = server.ask(
            "POST",
            "/v1/responses",
            {"model": "groq/llama-3.3-70b-versatile", "input": "hi", "store": True},
            key=key["key"],
        )
        assert kept.status == 200, kept.body
        server.stop(signal.SIGKILL)
    with gateway_server(tmp_path, *many, **settings) as server:
        deadline = time.monotonic() + 15
        while len(rows := server.rows(key["key"])) < len(asked) + 1:
            assert time.monotonic() < deadline, len(rows)
            time.sleep(0.2)
        assert sorted(row["request_id"] for row in rows if row["request_id"] in asked) == sorted(
            asked
        )
        found = server.ask("GET", f"/v1/responses/{kept.json()['id']}", key=key["key"])
        assert found.status == 200, found.body
        assert found.json()["output"] == kept.json()["output"]
        command("keys", "revoke", key["id"], "--json", url=url, home=home)
        deadline = time.monotonic() + 5
        while server.chat(key=key["key"]).status != 401:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_replicas_with_one_database_share_their_keys(mock, tmp_path, url):
    """Two gateways, each with a home of its own, as on two machines."""
    settings = {
        **providers_at(mock.port),
        "DATABASE_URL": url,
        "FERNET_KEY": Fernet.generate_key().decode(),
    }
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        gateway_server(folders[0], **settings) as one,
        gateway_server(folders[1], **settings) as two,
    ):
        model = f"gpt-4o-mini--mock-message-{uuid.uuid4().hex}--mock-delay-500"
        headers = {"idempotency-key": uuid.uuid4().hex}
        with ThreadPoolExecutor(20) as pool:
            replies = list(
                pool.map(
                    lambda server: server.chat(f"openai/{model}", headers=headers),
                    [one, two] * 10,
                )
            )
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        entries = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
        assert sum(entry["model"] == model for entry in entries) == 1
        assert two.chat(f"openai/{model}", "another", headers=headers).status == 422
