"""A key that is revoked ``now``: what it has begun is ended in every worker, told, and accounted (A10)."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import suppress

import pytest

from administrators import admin_key
from servers import beside, gateway_server, new_api_key, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-013", "R-AUTH-008")

SLOW = "--mock-chunk-delay-100--mock-length-9000"
CHAT, CLAUDE = f"openai/gpt-4o-mini{SLOW}", f"anthropic/claude-sonnet-4-5{SLOW}"
SAID = [{"role": "user", "content": "hi"}]
CALLS = (
    ("/v1/chat/completions", {"model": CHAT, "messages": SAID, "stream": True}),
    ("/v1/messages", {"model": CLAUDE, "messages": SAID, "max_tokens": 9000, "stream": True}),
    ("/v1/messages", {"model": CHAT, "messages": SAID, "max_tokens": 9000, "stream": True}),
    ("/v1/chat/completions", {"model": "openai/gpt-4o-mini--mock-hang", "messages": SAID}),
)


class Callers:
    """Calls of one key that are under way, and what came of each."""

    def __init__(self, server, key) -> None:
        self.told: dict[int, tuple[int, bytes, float]] = {}
        self.threads = [
            threading.Thread(target=self._call, args=(server, key, number), daemon=True)
            for number in range(len(CALLS))
        ]
        for thread in self.threads:
            thread.start()

    def _call(self, server, key, number):
        path, said = CALLS[number]
        with suppress(OSError, http.client.HTTPException):  # of those that the server's end cuts
            reply = server.ask("POST", path, said, key=key)
            self.told[number] = (reply.status, reply.body, time.monotonic())

    def join(self):
        for thread in self.threads:
            thread.join(20)


@pytest.mark.parametrize("by", ["http", pytest.param("command", marks=pytest.mark.gate)])
def test_what_a_revoked_key_has_begun_ends_within_a_second_and_nobody_elses(mock, tmp_path, by):
    settings = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, "--workers", "2", **settings) as server:
        key, other = (new_api_key(server, "--name", name) for name in ("leaked", "other"))
        mine = server.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]
        callers, others = Callers(server, key), Callers(server, other)
        time.sleep(1.5)
        assert not callers.told
        if by == "command":
            beside(server, "keys", "revoke", mine, "--now")
        else:
            path = f"/api/admin/api-keys/{mine}/revoke"
            reply = server.ask("POST", path, {"now": True}, key=admin_key(server))
            assert reply.status == 200
        done = time.monotonic()
        until(lambda: len(callers.told) == len(CALLS), 10)
        assert max(at for _, _, at in callers.told.values()) - done < 3
        for number, (status, body, _) in callers.told.items():
            streams = CALLS[number][1].get("stream")
            assert status == (200 if streams else 401), body[-300:]
            assert b"The API key was revoked" in body
            assert b"message_stop" not in body
            assert b'"finish_reason":"stop"' not in body
        assert not others.told, "nobody else's is ended"
        assert server.chat(key=key).status == 401
        rows = until(lambda: rows_of(server, mine) if len(rows_of(server, mine)) == 4 else None)
        assert {row["status"] for row in rows} == {"client_cut"}
    others.join()


def rows_of(server, key_id):
    path = f"/api/admin/requests?key_id={key_id}&limit=50"
    return server.ask("GET", path, key=admin_key(server)).json()["data"]


def test_without_it_what_was_begun_ends_as_it_would_have(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        key = new_api_key(server, "--name", "a")
        mine = server.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]
        model = "openai/gpt-4o-mini--mock-chunk-delay-50--mock-length-40"
        found = []
        thread = threading.Thread(
            target=lambda: found.append(server.chat(model, key=key, stream=True))
        )
        thread.start()
        time.sleep(0.4)
        beside(server, "keys", "revoke", mine)
        thread.join(20)
        assert found[0].body.endswith(b"data: [DONE]\n\n")
        assert b"revoked" not in found[0].body
