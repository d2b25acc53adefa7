"""The key that seals the database's secrets is rotated while gateways serve, and a wrong one refuses to start (D22)."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from cryptography.fernet import Fernet

import forge
from administrators import admin_key
from databases import KINDS, database_url
from dragoman.core.clock import SystemClock
from dragoman.store.engine import open_database
from dragoman.store.seal import open_sealer
from dragoman.store.sql.tenant_keys import TenantKeys
from servers import free_port, gateway_server, providers_at

pytestmark = [pytest.mark.req("R-AUTH-009"), pytest.mark.anyio]
OLD, NEW, WRONG = (Fernet.generate_key().decode() for _ in range(3))
MANY = 700


@pytest.fixture
def anyio_backend():
    return "asyncio"


def command(folder, url, fernet, *arguments, value=None):
    return arguments, {
        "cwd": folder,
        "env": {
            "PATH": "/usr/bin:/bin",
            "DRAGOMAN_HOME": str(folder / "home"),
            "DATABASE_URL": url,
            "FERNET_KEY": fernet,
        },
        "given": value or "",
        "timeout": 90,
    }


def ran(*said, **more):
    arguments, options = command(*said, **more)
    return forge.run(arguments, **options)


async def tenants(url, folder, many):
    database = open_database(url)
    keys = TenantKeys(database, open_sealer(folder / "home", OLD), SystemClock())
    for number in range(many):
        await keys.key(f"tenant {number}")
    await database.close()


@pytest.mark.parametrize("kind", [KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.gate)])
async def test_a_rotation_under_load_fails_no_call_and_the_old_key_can_go(kind, mock, tmp_path):
    async with database_url(kind, tmp_path) as url:
        await asyncio.to_thread(rotated, url, mock, tmp_path)


def rotated(url, mock, folder):
    settings = {**providers_at(mock.port), "DATABASE_URL": url}
    with gateway_server(folder, FERNET_KEY=f"{NEW},{OLD}", **settings) as server:
        admin = admin_key(server)
        asyncio.run(tenants(url, folder, MANY))
        for number in range(0, MANY, 50):
            said = {
                "tenant": f"tenant {number}",
                "provider": "openai",
                "api_key": f"sk-rotated-{number:040d}",
            }
            assert server.ask("POST", "/api/admin/credentials", said, key=admin).status == 201
        over, statuses = threading.Event(), []

        def load():
            while not over.is_set():
                statuses.append(server.chat(key=admin).status)
                reply = server.ask("GET", "/api/admin/credentials?limit=1", key=admin)
                statuses.append(reply.status)

        loading = threading.Thread(target=load)
        loading.start()
        try:
            # Killed in the middle, and run again.
            arguments, options = command(folder, url, f"{NEW},{OLD}", "secrets", "rotate")
            kept = {name: options[name] for name in ("cwd", "env")}
            with (folder / "killed.log").open("wb") as said:
                process = forge.spawn(arguments, **kept, stdout=said, stderr=said)
            time.sleep(0.4)
            process.kill()
            process.wait()
            done = ran(folder, url, f"{NEW},{OLD}", "secrets", "rotate", "--json")
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["left"] == 0
        finally:
            over.set()
            loading.join()
        assert statuses
        assert set(statuses) == {200}
        told = ran(folder, url, f"{NEW},{OLD}", "secrets", "status", "--json")
        found = json.loads(told.stdout)
        assert (found["left"], list(found["sealed_by"])) == (0, [found["in_force"]])
        assert not {OLD, NEW} & set(told.stdout.split('"'))
    with gateway_server(folder, FERNET_KEY=NEW, **settings) as server:
        assert server.chat(key=admin).status == 200
        told = ran(folder, url, NEW, "credentials", "list", "--tenant", "tenant 50", "--json")
        (one,) = json.loads(told.stdout)["credentials"]
        assert ran(folder, url, NEW, "credentials", "disable", one["id"]).returncode == 0
    for keys in (OLD, WRONG):
        refused(folder, url, keys)


def refused(folder, url, keys):
    done = ran(folder, url, keys, "serve", "--local", "--port", str(free_port()))
    assert done.returncode != 0
    assert "not opened by any key in FERNET_KEY" in done.stdout + done.stderr
    assert keys not in done.stdout + done.stderr


def test_a_key_that_is_dropped_before_all_is_sealed_anew_refuses_to_start(mock, tmp_path):
    """What no call has asked for yet would else be lost unnoticed (K5)."""
    url = f"sqlite:///{tmp_path}/home/dragoman.db"
    settings = {**providers_at(mock.port), "DATABASE_URL": url}
    with gateway_server(tmp_path, FERNET_KEY=f"{NEW},{OLD}", **settings):
        asyncio.run(tenants(url, tmp_path, 3))
        told = ran(tmp_path, url, NEW, "secrets", "rotate")
        assert told.returncode == 1
        assert "3 are left that another key has sealed" in told.stdout
    refused(tmp_path, url, NEW)
    assert ran(tmp_path, url, f"{NEW},{OLD}", "secrets", "rotate").returncode == 0
    told = ran(tmp_path, url, NEW, "audit", "list", "--action", "secrets.rotate", "--json")
    deeds = [each["deed"] for each in json.loads(told.stdout)["entries"]]
    assert [(each["outcome"], each["after"]) for each in reversed(deeds)] == [
        ("begun", None),
        ("done", '{"done":0,"left":3}'),
        ("begun", None),
        ("done", '{"done":3,"left":0}'),
    ]
    with gateway_server(tmp_path, FERNET_KEY=NEW, **settings) as server:
        assert server.chat().status == 200


def test_credentials_of_the_command_line_are_in_force_within_a_second(mock, tmp_path):
    url = f"sqlite:///{tmp_path}/home/dragoman.db"
    value = "sk-canary-of-the-command-line-0123456789abcdef"
    settings = {**providers_at(mock.port), "DATABASE_URL": url, "FERNET_KEY": NEW}
    with gateway_server(tmp_path, **settings) as server:

        def credential(said):
            reply = server.chat("openai/m", key="drg_local")
            assert reply.status == 200, reply.body
            path = f"/v1/requests/{reply.headers['x-dragoman-call-id']}/explain"
            (attempt,) = server.ask("GET", path, key="drg_local").json()["attempts"]
            assert attempt["paid_by"] == ("house" if said is None else "tenant")
            assert attempt["credential"] == (said or "key-1")

        credential(None)
        at = ("credentials", "add", "openai", "--tenant", "local", "--json")
        for wrong, why in (("short", "8 or more"), ("sk-short-one", "have at least")):
            done = ran(tmp_path, url, NEW, *at, value=wrong)
            assert done.returncode == 1
            assert why in done.stdout
            assert wrong not in done.stdout
        base = settings["OPENAI_BASE_URL"]
        arguments, options = command(tmp_path, url, NEW, *at, value=value)
        options["env"]["OPENAI_BASE_URL"] = base
        done = forge.run(arguments, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert value not in done.stdout + done.stderr
        made = json.loads(done.stdout)["id"]
        time.sleep(1)
        credential(made)
        arguments, options = command(tmp_path, url, NEW, "credentials", "test", made, "--json")
        options["env"]["OPENAI_BASE_URL"] = base
        done = forge.run(arguments, **options)
        assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "good"), done.stderr
        assert ran(tmp_path, url, NEW, "credentials", "disable", made).returncode == 0
        time.sleep(1)
        credential(None)
        assert ran(tmp_path, url, NEW, "credentials", "enable", made).returncode == 0
        assert (
            ran(tmp_path, url, NEW, "credentials", "rule", "local", "--own-only").returncode == 0
        )
        time.sleep(1)
        credential(made)
        assert server.chat("groq/m", key="drg_local").status == 403
        assert ran(tmp_path, url, NEW, "credentials", "remove", made).returncode == 0
        assert ran(tmp_path, url, NEW, "credentials", "remove", made).returncode == 1
        time.sleep(1)
        assert server.chat("openai/m", key="drg_local").status == 403
        assert ran(tmp_path, url, NEW, "credentials", "rule", "local", "--any").returncode == 0
        time.sleep(1)
        credential(None)
        told = ran(tmp_path, url, NEW, "audit", "list", "--target", made, "--json")
        actions = {each["deed"]["action"] for each in json.loads(told.stdout)["entries"]}
        assert {"credential.add", "credential.test", "credential.delete"} <= actions
        assert value.encode() not in b"".join(
            each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()
        )
