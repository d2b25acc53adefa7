"""No secret, prompt or answer lies about where servers keep things: PostgreSQL, Redis, the log, errors, metrics.

Planted are what the other canaries leave out: passwords of the stores, the secret of a webhook, admin keys of
providers, a tenant's own credential, and the text of answers. Each is first seen to be used.
"""

import asyncio
import hashlib
import hmac
import signal
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import redis
from cryptography.fernet import Fernet
from sqlalchemy.engine import make_url

import forge
from administrators import made_key
from databases import a_database, rows_as_text
from harness.canaries import files, mark, search
from own_servers import program
from servers import free_port, gateway_server, mock_server, providers_at, until


@contextmanager
def redis_with(password, folder):
    """A server of the test's own that lets in who knows the password."""
    port = free_port()
    told = ("--bind", "127.0.0.1", "--save", "", "--requirepass", password, "--dir", str(folder))
    process = subprocess.Popen(
        [program("redis-server"), "--port", str(port), *told], stdout=subprocess.DEVNULL
    )

    def answers():
        try:
            return client.ping()
        except redis.RedisError:
            return False

    with redis.Redis(port=port, password=password, socket_timeout=1) as client:
        try:
            until(answers)
            yield port, client
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


@contextmanager
def hook():
    """Takes webhooks: their headers and bodies."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", taken
    finally:
        server.shutdown()
        server.server_close()


def in_redis(client):
    """Every name, and what is there under it."""
    reading = {
        b"string": client.get,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return {
        name.decode(): repr(reading[client.type(name)](name)).encode()
        for name in client.scan_iter()
    }


def was_shown(mock, header):
    """Whether a request brought this to the provider, which keeps the first digits of its hash."""
    digest = hashlib.sha256(header.encode()).hexdigest()
    told = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return any(
        digest.startswith(entry["auth"].rpartition(":")[2]) for entry in told if entry["auth"]
    )


@pytest.mark.timeout(120)
@pytest.mark.req("K1", "P1", "R-OBS-004", "R-SEC-004", "R-SEC-006")
def test_nothing_planted_is_in_postgres_redis_logs_pages_and_errors(tmp_path):
    marks = {
        name: mark()
        for name in ("database password", "redis password", "webhook", "openai admin", "anthropic admin",
                     "own credential", "prompt", "answer")
    }  # fmt: skip
    own = f"sk-or-v1-{marks['own credential']}{'7' * 30}"
    places = []
    with (
        a_database("postgresql", tmp_path) as plain,
        mock_server(tmp_path) as mock,
        redis_with(marks["redis password"], tmp_path) as (redis_port, client),
        hook() as (hook_url, taken),
    ):
        url = make_url(plain).set(password=marks["database password"])
        (tmp_path / "dragoman.toml").write_text(
            '[budgets.small]\ntotal_usd = "0.1"\nalert_at = [0.0001]\n[[alerts.webhooks]]\n'
            f'url = "{hook_url}"\nsecret = "${{HOOK_SECRET}}"\nprivate = true\n'
        )
        environment = {
            **providers_at(mock.port),
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "REDIS_URL": f"redis://:{marks['redis password']}@127.0.0.1:{redis_port}",
            "HOOK_SECRET": marks["webhook"],
            "OPENAI_ADMIN_KEY": f"sk-admin-{marks['openai admin']}",
            "ANTHROPIC_ADMIN_KEY": f"sk-ant-admin-{marks['anthropic admin']}",
            "FERNET_KEY": Fernet.generate_key().decode(),
            "DEFAULT_ADMIN_USER_ID": "root",
            "DEFAULT_ADMIN_API_KEY": f"admin-{mark()}",
            "LOG_LEVEL": "debug",
            "USAGE_FLUSH_INTERVAL": "0.1",
            "RECONCILE_INTERVAL_S": "0.2",
        }
        with gateway_server(tmp_path, **environment) as server:
            admin = environment["DEFAULT_ADMIN_API_KEY"]
            key = made_key(server, admin, "user", tenant="brings")["key"]
            said = {"tenant": "brings", "provider": "openrouter", "api_key": own}
            stored = server.ask("POST", "/api/admin/credentials", said, key=admin)
            assert stored.status == 201, stored.body
            places.append(("the stored credential", stored.body))
            script = {"text": marks["answer"], "times": 8}
            assert mock.ask("POST", "/mock/script", script, key=None).status == 200
            heard = b""
            for model in ("openrouter/openai/gpt-4o-mini", "openai/gpt-4o-mini"):
                for stream in (False, True):
                    reply = server.chat(model, marks["prompt"], key=key, stream=stream)
                    heard += reply.body
            assert marks["answer"].encode() in heard
            mock.ask("POST", "/mock/reset", key=None)
            for fate in ("status-400", "status-401", "status-500", "body-garbage"):
                model = f"openrouter/openai/gpt-4o-mini--mock-{fate}"
                reply = server.chat(model, marks["prompt"], key=key)
                assert reply.status != 200
                places.append((fate, reply.body + repr(reply.headers).encode()))
            server.chat("nobody/has-this", marks["prompt"], key=key)

            # Each is used: a password lets in, a secret signs, a key is shown to its provider.
            until(client.dbsize)
            until(lambda: taken)
            headers, body = taken[0]
            told = f"{headers['x-dragoman-timestamp']}.".encode() + body
            signed = hmac.new(marks["webhook"].encode(), told, hashlib.sha256).hexdigest()
            assert headers["x-dragoman-signature"] == f"v1={signed}"
            until(lambda: was_shown(mock, f"Bearer {environment['OPENAI_ADMIN_KEY']}"))
            until(lambda: was_shown(mock, environment["ANTHROPIC_ADMIN_KEY"]))
            pages = ("/metrics", "/ready", "/v1/usage?group=request", "/v1/credentials")
            admin_pages = (
                "/api/admin/credentials",
                "/api/admin/providers",
                "/api/admin/audit",
            )
            for who, some in ((key, pages), (admin, admin_pages)):
                places += [(page, server.ask("GET", page, key=who).body) for page in some]
            places += in_redis(client).items()
            assert server.stop() == 0
            places.append(("the log", server.log.read_bytes() + server.said.encode()))
        tables = asyncio.run(rows_as_text(plain))
        assert b"openrouter" in tables["ledger_attempts"]
        places += [(f"table {name}", data) for name, data in tables.items()]
        places += [("webhook", repr(each).encode()) for each in taken]
    places += files(tmp_path / "home")
    hits = search({name: each.encode() for name, each in marks.items()}, places)
    assert not hits, "\n".join(map(str, hits[:20]))
    assert len(places) > 30


@pytest.mark.req("K1", "R-SEC-004")
def test_a_store_that_cannot_be_reached_is_told_of_without_its_password(tmp_path):
    """Wrong passwords stand in messages of drivers only too easily."""
    word = mark()
    home = {"DRAGOMAN_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", "MODE": "local"}
    for place in (f"127.0.0.1:{free_port()}/dragoman", "127.0.0.1:5432/there-is-no-such-database"):
        wrong = {**home, "DATABASE_URL": f"postgresql://somebody:{word}@{place}"}
        for form in ((), ("--json",)):
            done = forge.run(("keys", "list", *form), env=wrong, cwd=tmp_path)
            assert done.returncode != 0
            assert done.stdout + done.stderr
            assert word not in done.stdout + done.stderr
    with (
        redis_with("the-right-one", tmp_path) as (port, client),
        gateway_server(
            tmp_path, REDIS_URL=f"redis://:{word}@127.0.0.1:{port}", LOG_LEVEL="debug"
        ) as server,
    ):
        until(lambda: server.ask("GET", "/ready", key=None).json()["redis"] != "up")
        # The server has counted that somebody came with a wrong one.
        until(
            lambda: int(client.info("errorstats").get("errorstat_WRONGPASS", {}).get("count", 0))
        )
        pages = [server.ask("GET", page).body for page in ("/ready", "/health", "/metrics")]
        assert server.stop() == 0
        log = server.log.read_bytes() + server.said.encode()
    assert b"Redis is away" in log
    marks = {"password": word.encode()}
    assert not search(
        marks, [("log", log), *zip("rhm", pages, strict=True), *files(tmp_path / "home")]
    )
