import json
import time

import pytest

pytestmark = [pytest.mark.req("R-AUTH-001", "R-CLI-020"), pytest.mark.usefixtures("tables")]


def made(dragoman, *more):
    code, out, _ = dragoman("keys", "create", "--json", *more)
    assert code == 0
    return json.loads(out)


def test_a_key_is_made_without_a_server_and_printed_once_with_its_place(dragoman, clean):
    code, out, err = dragoman("keys", "create", "--name", "alice")
    key = out.removesuffix("\n")
    assert code == 0
    assert key.startswith("drg_")
    assert key.split() == [key], "the key alone, for $(…)"
    assert "not shown again" in err
    assert f"It is stored in {clean / 'home' / 'dragoman.db'}: only a gateway" in err
    assert key not in err
    code, out, _ = dragoman("keys", "list")
    assert code == 0
    assert "alice" in out
    assert key not in out


def test_a_key_as_json_has_what_was_asked_for(dragoman, clean):
    told = made(
        dragoman,
        "--name",
        "bob",
        "--tenant",
        "t",
        "--role",
        "admin",
        "--rps",
        "2",
        "--rpm",
        "60",
        "--rpd",
        "900",
        "--expires",
        "3",
    )
    assert told["key"].startswith(f"drg_{told['id']}_")
    assert (told["name"], told["tenant"], told["role"]) == ("bob", "t", "admin")
    assert told["home"] == str(clean / "home")
    limits = {name: number for name, number in told["limits"].items() if number is not None}
    assert limits == {"rps": 2, "rpm": 60, "rpd": 900}
    assert told["tier"] is None
    assert told["expires"] == pytest.approx(time.time() + 3 * 86400, abs=60)


def test_keys_are_listed_by_tenant_and_without_secrets(dragoman):
    first, second = made(dragoman, "--name", "a"), made(dragoman, "--name", "b", "--tenant", "t")
    listed = json.loads(dragoman("keys", "list", "--json")[1])["keys"]
    assert [each["id"] for each in listed] == [first["id"], second["id"]]
    assert all("key" not in each for each in listed)
    ours = json.loads(dragoman("keys", "list", "--tenant", "t", "--json")[1])["keys"]
    assert [each["name"] for each in ours] == ["b"]


def test_an_empty_list_says_how_to_begin(dragoman):
    assert "keys create" in dragoman("keys", "list")[1]


def test_the_list_tells_limits_and_state(dragoman):
    made(dragoman, "--name", "a", "--rpm", "5", "--rps", "1")
    made(dragoman, "--name", "b", "--expires", "0")
    made(dragoman, "--name", "c", "--expires", "1")
    gone = made(dragoman, "--name", "d")
    assert dragoman("keys", "revoke", gone["id"])[0] == 0
    out = dragoman("keys", "list")[1]
    for words in ("1/s, 5/min", "none", "expired 20", "valid until 20", "revoked 20", " valid "):
        assert words in out


def test_a_key_is_revoked_by_its_id(dragoman):
    told = made(dragoman, "--name", "a")
    code, out, _ = dragoman("keys", "revoke", told["id"], "--json")
    assert code == 0
    assert json.loads(out)["revoked"] == pytest.approx(time.time(), abs=60)
    assert "is revoked" in dragoman("keys", "revoke", told["id"])[1]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_key_that_is_not_there_cannot_be_revoked(dragoman, as_json):
    code, out, err = dragoman("keys", "revoke", "nobody12", *(["--json"] if as_json else []))
    assert code == 1
    assert "nobody12" in (json.loads(out)["error"]["message"] if as_json else err)


def test_a_key_needs_a_name(dragoman):
    code, _, err = dragoman("keys", "create")
    assert code == 2
    assert "--name" in err


def test_a_database_that_cannot_be_used_is_told_in_a_sentence(dragoman, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "oracle://x/y")
    code, _, err = dragoman("keys", "list")
    assert code == 1
    assert "DATABASE_URL" in err
    assert "Traceback" not in err


def test_a_wrong_setting_is_told_in_a_sentence(dragoman, monkeypatch):
    monkeypatch.setenv("PORT", "many")
    code, out, _ = dragoman("keys", "list", "--json")
    assert code == 2
    assert "port" in json.loads(out)["error"]["message"].lower()


def test_the_state_tells_where_the_keys_are(dragoman, monkeypatch):
    def state():
        told = json.loads(dragoman("--json")[1])["commands"]
        return next(each["status"] for each in told if each["name"] == "keys")

    assert state().endswith("dragoman.db")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@host/db")
    assert state() == "ready, in postgresql"


@pytest.mark.req("R-TIER-001")
def test_a_key_may_have_a_tier_and_limits_of_its_own_on_tokens(dragoman, clean):
    (clean / "dragoman.toml").write_text("[tiers.team]\nrpm = 600\n")
    limits = ["--tpm", "9", "--tpd", "90", "--max-tokens", "900", "--concurrency", "3"]
    told = made(dragoman, "--name", "bob", "--tier", "team", *limits)
    assert told["tier"] == "team"
    assert told["limits"]["max_tokens"] == 900
    listed = json.loads(dragoman("keys", "list", "--json")[1])["keys"][0]
    assert (listed["tier"], listed["limits"]) == ("team", told["limits"])


def test_a_tier_that_there_is_not_is_refused_with_the_nearest(dragoman, clean):
    (clean / "dragoman.toml").write_text("[tiers.team]\nrpm = 600\n")
    code, _, said = dragoman("keys", "create", "--name", "bob", "--tier", "taem")
    assert code == 1
    assert "There is no tier 'taem'; did you mean 'team'?" in said


def test_a_tenant_that_its_first_key_makes_is_told_of(dragoman, clean):
    assert made(dragoman, "--name", "a", "--tenant", "acme")["made_tenant"] is True
    assert made(dragoman, "--name", "b", "--tenant", "acme")["made_tenant"] is False
    assert made(dragoman, "--name", "c")["made_tenant"] is False
    code, _, err = dragoman("keys", "create", "--name", "d", "--tenant", "acne")
    assert code == 0
    assert "made tenant 'acne'" in err
    assert "did you mean 'acme'?" in err
    _, _, err = dragoman("keys", "create", "--name", "e", "--tenant", "acne")
    assert "made tenant" not in err
