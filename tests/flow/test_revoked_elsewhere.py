"""A key that is revoked at one gateway is refused by another one on the same database within a second, under load."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from cryptography.fernet import Fernet

from administrators import admin_key
from databases import a_database
from redis_server import URL, redis_prefix
from servers import gateway_server, new_api_key, providers_at

SLACK_S = 0.5
"""What a busy machine may take for the refused call itself."""


class Asking(threading.Thread):
    """Calls with one key, one after the other, until one of them is refused."""

    def __init__(self, gateway, key) -> None:
        super().__init__(daemon=True)
        self._ask = lambda: gateway.chat(key=key).status
        self.begun, self.enough = threading.Event(), threading.Event()
        self.answers = []
        """When each began, and its status."""
        self.start()

    def run(self):
        until = time.monotonic() + 20
        while (
            time.monotonic() < until
            and not self.enough.wait(0.02)
            and (not self.answers or self.answers[-1][1] == 200)
        ):
            began = time.monotonic()
            self.answers.append((began, self._ask()))
            self.begun.set()


@pytest.mark.req("R-AUTH-008", "R-AUTH-013")
@pytest.mark.parametrize("redis", [False, True], ids=["postgresql", "postgresql and redis"])
def test_the_other_gateway_refuses_it_within_a_second(mock, tmp_path, redis):
    with ExitStack() as stack:
        shared = {
            "DATABASE_URL": stack.enter_context(a_database("postgresql", tmp_path)),
            "FERNET_KEY": Fernet.generate_key().decode(),
            **providers_at(mock.port),
        }
        if redis:
            prefix = stack.enter_context(redis_prefix())
            shared |= {"REDIS_URL": URL, "REDIS_PREFIX": prefix}
        gateways = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            gateways.append(stack.enter_context(gateway_server(tmp_path / name, **shared)))
        one, two = gateways
        key, other = (new_api_key(one, "--name", name) for name in ("leaked", "other"))
        mine = one.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]
        leaked, others = Asking(two, key), Asking(two, other)
        assert leaked.begun.wait(10)
        time.sleep(0.5)
        assert leaked.is_alive(), "the key is good until it is revoked"
        reply = one.ask("POST", f"/api/admin/api-keys/{mine}/revoke", {}, key=admin_key(one))
        revoked = time.monotonic()
        assert reply.status == 200, reply.body
        leaked.join(10)
        began, status = leaked.answers[-1]
        assert status == 401
        assert began - revoked < 1 + SLACK_S
        late = [began for began, status in leaked.answers if status == 200 and began > revoked + 1]
        assert not late, "nothing that began later is let through"
        others.enough.set()
        others.join(10)
        assert {status for _, status in others.answers} == {200}, "nobody else's key"
