"""A gateway moves from SQLite to PostgreSQL while it serves: keys, usage and kept responses are there again.

And a restore that is killed at any moment has changed all or nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time

import pytest
from cryptography.fernet import Fernet

import forge
from databases import a_database
from dragoman.store.engine import open_database
from filled import contents, fill
from servers import gateway_server, new_api_key, providers_at

FERNET = Fernet.generate_key().decode()
MODEL = "groq/llama-3.3-70b-versatile"


@pytest.fixture
def url(tmp_path):
    """The URL of an empty database on a real server."""
    with a_database("postgresql", tmp_path, tables=False) as made:
        yield made


def dragoman(*arguments, home, **environment):
    environment = {"DRAGOMAN_HOME": str(home), "PATH": os.environ["PATH"], **environment}
    done = forge.run([*arguments, "--json"], env=environment, cwd=home.parent)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def usage(server, key):
    found = server.ask("GET", "/v1/usage?group=request", key=key).json()
    return sorted((row["request_id"], row["input_tokens"]) for row in found["data"])


def test_everything_is_there_again_in_another_kind_of_database(mock, tmp_path, url):
    # reliability.md D13
    file = tmp_path / "all.backup"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    settings = {**providers_at(mock.port), "FERNET_KEY": FERNET}
    with gateway_server(tmp_path / "one", **settings) as server:
        key = new_api_key(server, "--name", "alice")
        for number in range(12):
            reply = server.chat(headers={"x-request-id": f"call-{number}"}, key=key)
            assert reply.status == 200
        kept = server.ask(
            "POST", "/v1/responses", {"model": MODEL, "input": "hi", "store": True}, key=key
        )
        before = usage(server, key)
        assert len(before) == 13
        home = tmp_path / "one" / "home"
        made = dragoman("db", "backup", str(file), home=home, FERNET_KEY=FERNET)
        assert made["rows"] > 26
        assert server.chat(key=key).status == 200  # it has gone on all the while
    other = {"DATABASE_URL": url, "FERNET_KEY": FERNET}
    done = dragoman("db", "restore", str(file), home=tmp_path / "two" / "home", **other)
    assert done["rows"] == made["rows"]
    with gateway_server(tmp_path / "two", **settings, DATABASE_URL=url) as server:
        assert usage(server, key) == before
        found = server.ask("GET", f"/v1/responses/{kept.json()['id']}", key=key)
        assert found.status == 200
        assert found.json()["output"] == kept.json()["output"]
        assert server.chat(key=key).status == 200
    checked = dragoman("db", "check", home=tmp_path / "two" / "home", **other)
    assert checked["errors"] == []


def rows_of(path):
    async def read():
        database = open_database(f"sqlite:///{path}")
        try:
            return await contents(database)
        finally:
            await database.close()

    return asyncio.run(read())


def test_a_restore_that_is_killed_has_changed_all_or_nothing(tmp_path):
    home = tmp_path / "home"
    path = home / "dragoman.db"
    dragoman("keys", "create", "--name", "alice", home=home)

    async def more():
        database = open_database(f"sqlite:///{path}")
        await fill(database, 150)
        await database.close()

    file = tmp_path / "all.backup"
    dragoman("db", "backup", str(file), home=home)
    after = rows_of(path)
    asyncio.run(more())
    before = rows_of(path)
    unchanged = 0
    for wait_s in (0.01, 0.05, 0.1, 0.2, 0.4, 0.8):
        with (tmp_path / "killed.log").open("wb") as said:
            process = forge.spawn(
                ["db", "restore", str(file), "--replace"],
                env={"DRAGOMAN_HOME": str(home), "PATH": os.environ["PATH"]},
                cwd=tmp_path, stdout=said, stderr=said,
            )  # fmt: skip
        time.sleep(wait_s)
        process.kill()
        process.wait(10)
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        found = rows_of(path)
        if found == after:  # it was done already
            break
        assert found == before
        unchanged += 1
    assert unchanged >= 1
    dragoman("db", "restore", str(file), "--replace", home=home)
    assert rows_of(path) == after
