"""Tiers that an administrator adds, changes and removes while keys are used: in force at once, everywhere."""

from __future__ import annotations

import json

import pytest

import forge
from administrators import admin_key, made_key
from servers import gateway_server, until

pytestmark = pytest.mark.req("R-ADD-039", "R-TIER-001")
TIERS = "/api/admin/tiers"


@pytest.fixture
def house(tmp_path):
    (tmp_path / "dragoman.toml").write_text("format = 1\n[tiers.team]\nrpm = 50\ntpd = 9000\n")
    with gateway_server(tmp_path) as server:
        yield server, admin_key(server), tmp_path


def limit_of(server, key):
    return server.ask("GET", "/v1/keys/me", key=key).json()["tier"]["limits"]["rpm"]


def run(server, *arguments):
    environment = {**server.environment, "MODE": "local", "PATH": "/usr/bin:/bin"}
    return forge.run([*arguments, "--json"], env=environment, cwd=server.log.parent)


def test_a_stored_tier_goes_before_the_files_and_the_files_comes_back(house):
    server, admin, _ = house
    key = made_key(server, admin, "alice", tier="team")["key"]
    assert limit_of(server, key) == 50
    changed = server.ask("PATCH", f"{TIERS}/team", {"rpm": 1}, key=admin)
    assert changed.status == 200, changed.body
    told = changed.json()
    assert (told["rpm"], told["tpd"], told["source"], told["hides_configuration"]) == (
        1,
        9000,
        "admin",
        True,
    )
    assert server.chat(key=key).status == 200
    assert server.chat(key=key).status == 429
    assert server.ask("PATCH", f"{TIERS}/team", {"rpm": None}, key=admin).json()["rpm"] is None
    assert server.chat(key=key).status == 200
    assert server.ask("DELETE", f"{TIERS}/team", key=admin).status == 204
    assert limit_of(server, key) == 50
    gone = server.ask("DELETE", f"{TIERS}/team", key=admin)
    assert (gone.status, "changed there" in gone.json()["error"]["message"]) == (404, True)


def test_a_tier_is_made_used_and_kept_for_as_long_as_keys_have_it(house):
    server, admin, folder = house
    assert server.ask("PUT", f"{TIERS}/gold", {"rpm": 7}, key=admin).status == 201
    assert server.ask("PUT", f"{TIERS}/gold", {"rpm": 8}, key=admin).status == 200
    made = made_key(server, admin, "bob", tier="gold")
    assert limit_of(server, made["key"]) == 8
    held = server.ask("DELETE", f"{TIERS}/gold", key=admin)
    assert (held.status, held.json()["error"]["message"][:22]) == (409, "1 key has the tier 'go")
    assert server.ask("PUT", TIERS, {"silver": {"rps": 1}}, key=admin).status == 409
    whole = server.ask("PUT", TIERS, {"gold": {"rpm": 9}, "silver": {"rps": 1}}, key=admin)
    assert (whole.status, whole.json()["stored"]) == (200, 2)
    listed = server.ask("GET", TIERS, key=admin).json()["data"]
    assert [(each["id"], each["source"], each["rpm"]) for each in listed] == [
        ("gold", "admin", 9),
        ("silver", "admin", None),
        ("team", "configuration", 50),
    ]
    by_hand = run(server, "keys", "create", "--name", "carol", "--tier", "silver")
    assert by_hand.returncode == 0, by_hand.stderr
    assert run(server, "keys", "create", "--name", "dave", "--tier", "slver").returncode != 0
    out = run(server, "export", str(folder / "out"))
    assert out.returncode == 0, out.stderr
    tiers = json.loads((folder / "out" / "tiers.json").read_text())
    assert tiers == {"team": {"rpm": 50, "tpd": 9000}, "gold": {"rpm": 9}, "silver": {"rps": 1}}
    audit = server.ask("GET", "/api/admin/audit?action=tier.put", key=admin).json()["data"]
    ended = [each for each in audit if each["outcome"] == "done"]
    assert json.loads(json.dumps(ended[0]["after"])) == {"gold": {"rpm": 9}, "silver": {"rps": 1}}


def test_a_tier_that_means_nothing_changes_nothing(house):
    server, admin, _ = house
    for said in (
        {"rpm": -1},
        {"rpm": 1.5},
        {"rpm": "7"},
        {"speed": 1},
        {"min_provider_score": 101},
        {"min_provider_score": 60, "max_provider_score": 50},
        {"max_tokens": 2**60},
    ):
        assert server.ask("PUT", f"{TIERS}/odd", said, key=admin).status == 400, said
    assert server.ask("GET", f"{TIERS}/odd", key=admin).status == 404
    assert server.ask("PATCH", f"{TIERS}/odd", {"rpm": 1}, key=admin).status == 404


def test_every_worker_and_the_next_start_know_it(tmp_path):
    with gateway_server(tmp_path, "--workers", "2") as server:
        admin = admin_key(server)
        assert server.ask("PUT", f"{TIERS}/gold", {"rpm": 0, "rps": 900}, key=admin).status == 201
        key = made_key(server, admin, "bob", tier="gold")["key"]
        assert server.ask("PATCH", f"{TIERS}/gold", {"rpm": 70}, key=admin).status == 200

        def limits_told():
            # The other worker hears of the tier within a second; until then the key's tier is none of its own.
            answers = [server.ask("GET", "/v1/keys/me", key=key) for _ in range(16)]
            return {
                one.json()["tier"]["limits"]["rpm"] if one.status == 200 else 0 for one in answers
            }

        until(lambda: limits_told() == {70})
    with gateway_server(tmp_path) as server:
        assert limit_of(server, key) == 70
