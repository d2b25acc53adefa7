"""No secret and no prompt is left lying about: marks are planted in all of them and looked for everywhere.

With the settings as they are, but with the log at its most talkative. Looked at are the gateway's folder (database,
journal, logs, notes), what it says on stdout and stderr, its metrics, its pages of usage and explanation, its
administrator's pages, and the bodies and headers of its errors.
"""

import asyncio
import signal
import time

import pytest
from cryptography.fernet import Fernet

from administrators import made_key
from dragoman.core.clock import SystemClock
from dragoman.store.engine import open_database
from dragoman.store.seal import open_sealer
from dragoman.store.sql.keys import PEPPER
from dragoman.store.sql.secrets import open_secret
from harness.callers import Callers, Wish
from harness.canaries import files, mark, search
from harness.dialects import DIALECTS, PROVIDERS
from harness.house import named
from servers import gateway_server, mock_server, providers_at

FATES = (
    "ok",
    "status-400",
    "status-401",
    "status-500",
    "cut-900",
    "error-after-5",
    "body-garbage",
    "drop-close",
)
PAGES = (
    "/metrics",
    "/v1/usage",
    "/v1/usage?group=request&limit=1000",
    "/v1/keys/me",
    "/ready",
    "/health",
)
ADMIN_PAGES = (
    "/api/admin/users",
    "/api/admin/providers",
    "/api/admin/metrics",
    "/api/admin/audit",
    "/openapi.json",
)


ROUTES = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat", "/v1/embeddings")


def planted(port):
    """The environment with a mark in each of its secrets, and the marks."""
    environment = providers_at(port)
    marks = {}
    for name, key in environment.items():
        if name.endswith("_API_KEY"):
            marks[name] = mark().encode()
            environment[name] = key[:12] + marks[name].decode()
    fernet = Fernet.generate_key().decode()
    own = {
        "FERNET_KEY": fernet,
        "DEFAULT_ADMIN_USER_ID": "root",
        "DEFAULT_ADMIN_API_KEY": f"admin-{mark()}",
        "API_KEY_HASH_SECRET": mark(),
        "RATE_LIMIT_HASH_SECRET": mark(),
    }
    own_marks = {
        name: value.encode() for name, value in own.items() if name != "DEFAULT_ADMIN_USER_ID"
    }
    return {**environment, **own}, marks | own_marks


def asked(prompt, system):
    """Requests with marks in what they say, whole and streamed, served and failed, of those who stay and leave."""
    found = []
    for caller in DIALECTS:
        for provider in PROVIDERS.values():
            for stream in (False, True):
                leave = "middle" if stream else None
                found += [
                    Wish(caller, f"{provider}/{named('m', fate)}", stream, text=prompt)
                    for fate in FATES
                ]
                found.append(
                    Wish(
                        caller,
                        f"{provider}/{named('m', 'chunk-delay-3')}",
                        stream,
                        text=prompt,
                        leave=leave,
                    )
                )
    found.append(Wish("chat", "openai/m", stream=False, text=prompt, members=(("user", system),)))
    found.append(Wish("chat", "nobody/m", stream=False, text=prompt))
    found.append(Wish("chat", "openai/m", stream=False, text=prompt, members=(("tools", prompt),)))
    found.append(
        Wish("anthropic", "anthropic/m", stream=False, text=prompt, members=(("system", prompt),))
    )
    return found


def broken(server, prompt, key):
    """Answers to requests that are wrong in themselves."""
    bodies = (b'{"model": "' + prompt, b"[]", b'{"messages": "' + prompt + b'"}', b"\xff" + prompt)
    wrong = (key[:-3] + "abc", f"drg_{key[4:]}x", "sk-nobody")
    return [
        *(server.ask("POST", path, body, key=key) for body in bodies for path in ROUTES),
        *(server.chat(key=one) for one in wrong),
    ]


async def pepper_of(home, fernet):
    """The versions of the secret that keys are hashed with."""
    database = open_database(f"sqlite:///{home}/dragoman.db")
    try:
        opened = await open_secret(database, open_sealer(home, fernet), SystemClock(), PEPPER)
        return list(opened.versions.values())
    finally:
        await database.close()


@pytest.mark.timeout(300)
@pytest.mark.req("K1", "P1", "R-OBS-004")
def test_no_secret_and_no_prompt_is_left_lying_about(tmp_path):
    with mock_server(tmp_path) as mock:
        environment, marks = planted(mock.port)
        prompt = mark()
        marks |= {"the prompt": prompt.encode()}
        environment |= {"LOG_LEVEL": "debug", "USAGE_FLUSH_INTERVAL": "0.3"}
        places = []
        with gateway_server(tmp_path, patience_s=60, **environment) as server:
            admin = environment["DEFAULT_ADMIN_API_KEY"]
            key = made_key(server, admin, "alice")["apiKey"]
            marks["the caller's key"] = key.split("_")[-1].encode()
            callers = Callers(key, 41)
            asyncio.run(callers.all_of(server.port, asked(prompt, mark()), 8))
            places += [(f"error of {name}", body) for name, _, body in callers.bodies]
            places += [
                (f"refusal {reply.status}", reply.body + repr(reply.headers).encode())
                for reply in broken(server, prompt.encode(), key)
            ]
            for page in PAGES:
                reply = server.ask("GET", page, key=key)
                places.append((page, reply.body + repr(reply.headers).encode()))
            for page in ADMIN_PAGES:
                places.append((page, server.ask("GET", page, key=admin).body))
            kept = server.ask(
                "POST",
                "/v1/responses",
                {"model": "openai/m", "input": prompt, "store": True},
                key=key,
            )
            assert kept.status == 200, kept.body
            time.sleep(0.7)
            # Journals are looked at as a death leaves them, full, and what is drained of them afterwards.
            places += [(f"alive: {name}", data) for name, data in files(tmp_path / "home")]
            server.stop(signal.SIGKILL)
            places.append(("the log", server.log.read_bytes() + server.said.encode()))
        assert len(callers.bodies) > 100
        assert callers.heard
        with gateway_server(tmp_path, patience_s=60, **environment) as server:
            assert server.ask("GET", "/v1/usage", key=key).status == 200
            assert server.stop() == 0
            places.append(("the second log", server.log.read_bytes() + server.said.encode()))
        peppers = asyncio.run(pepper_of(tmp_path / "home", environment["FERNET_KEY"]))
        marks |= {f"pepper {number}": pepper for number, pepper in enumerate(peppers)}
        assert peppers
        places += files(tmp_path / "home")
    hits = search(marks, places)
    assert not hits, "\n".join(map(str, hits[:20]))
    assert sum(len(data) for _, data in places) > 100_000
    assert any(b"openai" in data for name, data in places if "log" in name), (
        "the log says something"
    )
