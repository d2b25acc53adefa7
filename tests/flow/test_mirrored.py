"""Stored tiers and keys stand in tiers.json and keys.json; what somebody changes in tiers.json is stored at a start."""

from __future__ import annotations

import json

import pytest

from administrators import admin_key, made_key
from servers import beside, gateway_server, until

pytestmark = pytest.mark.req("R-STOR-001", "R-STOR-004", "R-AUTH-003", "R-TIER-001", "R-ADD-040")
TIERS = "/api/admin/tiers"


def environment(folder):
    """Each file in a place of its own."""
    names = ("PROVIDERS", "MODELS", "KEYS", "TIERS")
    files = {f"API_{name}_FILE": str(folder / name / f"{name.lower()}.json") for name in names}
    return {"DATA_SOURCE_PREFERENCE": "filesystem", **files}


def read(folder, name):
    """What the file says now; None: there is none."""
    file = folder / name.upper() / f"{name}.json"
    return json.loads(file.read_text()) if file.is_file() else None


def write_tiers(folder, rows):
    (folder / "TIERS").mkdir(exist_ok=True)
    (folder / "TIERS" / "tiers.json").write_text(json.dumps(rows))


def limits(server, admin, name):
    told = server.ask("GET", f"{TIERS}/{name}", key=admin)
    return (told.json()["source"], told.json()["rpm"]) if told.status == 200 else told.status


def test_stored_tiers_are_mirrored_changed_in_the_file_and_forgotten(tmp_path):
    write_tiers(tmp_path, {"team": {"rpm": 50}, "own": {"rps": 3}})
    with gateway_server(tmp_path, **environment(tmp_path)) as server:
        admin = admin_key(server)
        assert server.ask("PUT", f"{TIERS}/team", {"rpm": 60}, key=admin).status == 201
        assert server.ask("PUT", f"{TIERS}/gold", {"rpm": 7}, key=admin).status == 201
        rows = until(lambda: (found := read(tmp_path, "tiers")).get("gold") and found)
        assert rows["own"] == {"rps": 3}
        assert (rows["team"]["rpm"], rows["team"]["hides"]) == (60, {"rpm": 50})
        assert rows["gold"]["stored_ms"] > 0
        assert (tmp_path / "TIERS" / "tiers.schema.json").is_file()
        # What is mirrored is no tier of the file's: nothing but the stored one is there to go.
        assert limits(server, admin, "gold") == ("admin", 7)
        assert not server.ask("GET", f"{TIERS}/gold", key=admin).json()["hides_configuration"]
    rows["gold"]["rpm"] = 8
    old = {**rows["team"], "rpm": 1, "stored_ms": rows["team"]["stored_ms"] - 1}
    write_tiers(tmp_path, rows | {"team": old})
    with gateway_server(tmp_path, **environment(tmp_path)) as server:
        assert limits(server, admin, "gold") == ("admin", 8)
        assert limits(server, admin, "team") == ("admin", 60)  # the row was of an older one
        until(lambda: read(tmp_path, "tiers")["team"]["rpm"] == 60)
        assert read(tmp_path, "tiers")["gold"]["rpm"] == 8
        deeds = server.ask("GET", "/api/admin/audit?action=tier.import", key=admin).json()["data"]
        assert [each["outcome"] for each in deeds] == ["done", "begun"]
        for name in ("gold", "team"):
            assert server.ask("DELETE", f"{TIERS}/{name}", key=admin).status == 204
    # Whether or not the file was written before the end, what was deleted does not come back.
    write_tiers(tmp_path, rows)
    with gateway_server(tmp_path, **environment(tmp_path)) as server:
        assert limits(server, admin, "gold") == 404
        assert limits(server, admin, "team") == ("configuration", 50)
        until(lambda: read(tmp_path, "tiers") == {"team": {"rpm": 50}, "own": {"rps": 3}})


def test_keys_are_mirrored_without_a_secret_for_their_owner_alone(tmp_path):
    legacy = '{"2api_raw": {"userId": "zoe"}}'
    file = tmp_path / "KEYS" / "keys.json"
    file.parent.mkdir()
    file.write_text(legacy)
    with gateway_server(tmp_path, **environment(tmp_path)) as server:
        admin = admin_key(server)
        made = made_key(server, admin, "alice")
        until(lambda: "was not written by Dragoman" in server.log.read_text())
        assert file.read_text() == legacy
        assert "2api_raw" not in server.log.read_text()
        beside(server, "import", "json", str(file.parent))
        file.unlink()
        rows = until(lambda: (found := read(tmp_path, "keys")) and found["data"])
        assert {"alice", "zoe"} <= {row["user_id"] for row in rows}
        text = file.read_text()
        assert "digest" not in text
        assert not [key for key in (admin, made["key"], "2api_raw") if key in text]
        assert file.stat().st_mode & 0o777 == 0o600
        assert (file.parent / "keys.schema.json").is_file()
        assert server.chat(key=made["key"]).status == 200
        until(lambda: used(tmp_path, "alice") == 1)
        revoked = server.ask("POST", f"/api/admin/api-keys/{made['id']}/revoke", {}, key=admin)
        assert revoked.status == 200, revoked.body
        until(lambda: state(tmp_path, "alice")["revoked_ms"])
    # Nothing is read of it: neither a key that it says is in force nor one that it has anew.
    found = read(tmp_path, "keys")
    for row in found["data"]:
        row["revoked_ms"] = None
    found["data"].append({**found["data"][0], "id": "made-up", "user_id": "mallory"})
    file.write_text(json.dumps(found))
    with gateway_server(tmp_path, **environment(tmp_path)) as server:
        assert server.chat(key=made["key"]).status == 401
        until(lambda: state(tmp_path, "mallory") is None)
        assert state(tmp_path, "alice")["revoked_ms"]


def state(folder, user):
    return next((row for row in read(folder, "keys")["data"] if row["user_id"] == user), None)


def used(folder, user):
    return state(folder, user)["request_count"]
