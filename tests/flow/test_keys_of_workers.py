"""A key that is changed, in all of several workers: rotated with and without an overlap, and expired."""

from __future__ import annotations

import time

import pytest

from administrators import admin_key, made_key
from servers import children, gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-006", "R-AUTH-010")

NOTICED_S = 1.2
"""Within a second, and the call that shows it."""
MANY = 24
"""New connections: each of four workers gets some of them."""


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    with gateway_server(folder, "--workers", "4", **providers_at(mock.port)) as server:
        until(lambda: len(children(server.process)) == 4)
        yield server, admin_key(server)


def answers(server, key):
    """What so many connections are answered."""
    return {server.ask("GET", "/v1/models", key=key).status for _ in range(MANY)}


def rotated(server, admin, made, **said):
    reply = server.ask("POST", f"/api/admin/api-keys/{made['id']}/rotate", said, key=admin)
    assert reply.status == 201, reply.body
    return reply.json()["key"]


def test_a_rotated_key_is_refused_and_its_next_secret_taken_by_every_worker(house):
    server, admin = house
    made = made_key(server, admin, "now")
    assert answers(server, made["key"]) == {200}
    new = rotated(server, admin, made)
    began = time.monotonic()
    assert answers(server, new) == {200}, "it serves at once, wherever it was rotated"
    until(lambda: time.monotonic() - began > NOTICED_S)
    assert answers(server, made["key"]) == {401}


def test_both_secrets_serve_in_every_worker_while_they_overlap_and_then_the_new_one_alone(house):
    server, admin = house
    made = made_key(server, admin, "later")
    assert answers(server, made["key"]) == {200}
    new = rotated(server, admin, made, overlap_s=2)
    began = time.monotonic()
    assert answers(server, made["key"]) == {200}
    assert answers(server, new) == {200}
    assert time.monotonic() - began < 2, "this machine is too slow to tell"
    time.sleep(max(0.0, began + 2 + NOTICED_S - time.monotonic()))
    assert answers(server, made["key"]) == {401}
    assert answers(server, new) == {200}


def test_a_key_expires_in_every_worker_at_its_moment(house):
    server, admin = house
    end = time.time() + 2
    made = made_key(server, admin, "ends", expires_in_s=2)
    assert answers(server, made["key"]) == {200}
    assert time.time() < end, "this machine is too slow to tell"
    time.sleep(max(0.0, end - time.time()) + 0.3)
    assert answers(server, made["key"]) == {401}
    error = server.ask("GET", "/v1/models", key=made["key"]).json()["error"]
    assert error["code"] == "expired_api_key"
