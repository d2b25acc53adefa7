"""OB-1's accounts over the admin API: logged in, renewed, removed and moved while the gateway serves."""

import json
import time
from decimal import Decimal

import pytest

from administrators import admin_key, made_key
from ob1_service import ORG, environment, ob1_service, put_accounts
from servers import beside, gateway_server, until

pytestmark = pytest.mark.req("R-ADM-011")

MODEL = "ob1/anthropic/claude-sonnet-4.6"
AT = "/api/admin/ob1"
NAMES = [f"{name}@example.com" for name in ("ada", "bob", "eve")]


class House:
    """A gateway of two workers before OB-1, and its administrator."""

    def __init__(self, server, logins, backend, file):
        self.server, self.logins, self.backend, self.file = server, logins, backend, file
        self.admin = admin_key(server)

    def ask(self, method, path="", body=None, status=200):
        reply = self.server.ask(method, AT + path, body, key=self.admin)
        assert reply.status == status, reply.body
        return reply.json() if reply.body else None

    def refusal(self, method, path, body, status):
        return self.ask(method, path, body, status)["error"]

    def names(self):
        return [each["account"] for each in self.ask("GET", "/accounts")["data"]]

    def put(self, *names, **members):
        """These accounts and no others, as a person would write the file."""
        put_accounts(self.logins, self.file, *names, **members)
        # Each of two workers looks once a second.
        until(lambda: {self.server.chat(MODEL).status for _ in range(6)} == {200}, 10)

    def audit(self, action):
        path = f"/api/admin/audit?action={action}&outcome=done&limit=1"
        return self.server.ask("GET", path, key=self.admin).json()["data"][0]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ob1")
    file = folder / "secrets" / "config" / "accounts.json"
    with ob1_service() as (logins, backend):
        put_accounts(logins, file, "ada", "bob")
        said = {**environment(logins, file), "WORKERS": "2"}
        with gateway_server(folder, **said) as server:
            yield House(server, logins, backend, file)


@pytest.fixture(autouse=True)
def usual(house):
    house.logins.typed = house.logins.denied = False
    house.logins.extra = {}
    house.put("ada", "bob")
    yield
    # Whatever a test has done: no token stands in the log, nor in what the audit log keeps.
    audit = house.server.ask("GET", "/api/admin/audit?limit=1000", key=house.admin).body.decode()
    log = house.server.log.read_text(errors="replace")
    tokens = [*house.logins.access, *house.logins.refresh]
    assert not [token for token in tokens if token in log or token in audit]


def test_it_is_told_whether_ob1_can_be_used_and_by_how_many(house):
    told = house.ask("GET")
    assert (told["usable"], told["accounts"], told["proxy"]) == (True, {"good": 2}, None)
    assert (told["rotation_mode"], told["rotation_mode_from"]) == ("cache-first", "configuration")
    for _ in range(4):
        assert house.server.chat(MODEL).status == 200
    # Of two workers the other one's calls come to the ledger within seconds.
    until(lambda: house.ask("GET")["today"]["requests"] >= 4, 10)
    assert Decimal(house.ask("GET")["today"]["usage"]["estimated"]["cost_usd"]) >= 4 * Decimal(
        "0.003"
    )
    house.file.write_text("[]")
    told = house.ask("GET")
    assert (told["usable"], told["accounts"]) == (False, {})


def test_accounts_are_listed_in_pages_without_their_tokens(house):
    first = house.ask("GET", "/accounts?limit=1")
    assert [each["account"] for each in first["data"]] == NAMES[:1]
    assert first["data"][0]["state"] == "good"
    assert first["data"][0]["organization"] == "One"
    rest = house.ask("GET", f"/accounts?limit=1&cursor={first['next_cursor']}")
    assert [each["account"] for each in rest["data"]] == NAMES[1:2]
    assert not rest["has_more"]
    assert not [token for token in house.logins.access if token in json.dumps([first, rest])]


def test_tokens_are_renewed_on_demand_and_calls_use_the_next_ones(house):
    before = {row["email"]: row["access_token"] for row in json.loads(house.file.read_text())}
    told = house.ask("POST", "/accounts/refresh", {"account": NAMES[0]})["accounts"]
    assert [(each["account"], each["renewed"], each["trouble"]) for each in told] == [
        (NAMES[0], True, None)
    ]
    after = {row["email"]: row["access_token"] for row in json.loads(house.file.read_text())}
    assert after[NAMES[0]] != before[NAMES[0]]
    assert after[NAMES[1]] == before[NAMES[1]]
    assert not [token for token in after.values() if token in json.dumps(told)]
    assert {house.server.chat(MODEL).status for _ in range(6)} == {200}
    assert house.audit("ob1_account.refresh")["target"] == NAMES[0]


def test_one_that_cannot_be_renewed_keeps_no_other_from_it(house):
    for token, family in list(house.logins.refresh.items()):
        if family.user == "ada":
            del house.logins.refresh[token]
    told = house.ask("POST", "/accounts/refresh", {})["accounts"]
    assert [(each["account"], each["renewed"], each["state"]) for each in told] == [
        (NAMES[0], False, "login needed"),
        (NAMES[1], True, "good"),
    ]
    assert "log in again: dragoman ob1 auth" in told[0]["trouble"]
    assert house.refusal("POST", "/accounts/refresh", {"account": "nobody"}, 404)["param"] == (
        "account"
    )


def test_an_account_that_is_removed_serves_no_more(house):
    house.ask("DELETE", f"/accounts/{NAMES[0]}", status=204)
    assert house.names() == NAMES[1:2]
    assert house.refusal("DELETE", f"/accounts/{NAMES[0]}", None, 404)["code"] == "not_found"
    assert house.audit("ob1_account.delete")["target"] == NAMES[0]
    house.ask("DELETE", f"/accounts/{NAMES[1]}", status=204)
    until(lambda: house.server.chat(MODEL).status == 503, 5)


def test_what_is_exported_is_taken_over_again_and_stands_in_the_audit_log(house):
    kept = json.loads(house.file.read_text())
    told = house.ask("POST", "/accounts/export", {})
    assert [row["access_token"] for row in told["accounts"]] == [
        row["access_token"] for row in kept
    ]
    one = house.ask("POST", "/accounts/export", {"account": NAMES[1]})["accounts"]
    assert [row["email"] for row in one] == NAMES[1:2]
    assert house.audit("ob1_account.export")["after"] == {"accounts": NAMES[1:2]}
    house.ask("DELETE", f"/accounts/{NAMES[0]}", status=204)
    assert house.ask("POST", "/accounts/import", told) == {
        "added": NAMES[:1],
        "replaced": NAMES[1:2],
    }
    assert {row["email"]: row["refresh_token"] for row in json.loads(house.file.read_text())} == {
        row["email"]: row["refresh_token"] for row in kept
    }
    assert house.file.stat().st_mode & 0o777 == 0o600
    assert {house.server.chat(MODEL).status for _ in range(4)} == {200}


def tokens_shown(house, calls):
    house.backend.seen.clear()
    for _ in range(calls):
        assert house.server.chat(MODEL).status == 200
    shown = [each["headers"]["authorization"] for each in house.backend.seen]
    return {each.removeprefix("Bearer ").partition(":")[0] for each in shown}


def test_an_account_that_takes_anothers_place_is_used_by_its_own_token(house):
    house.put("ada")
    kept = house.ask("POST", "/accounts/export", {})
    house.put("ada")
    (token,) = [row["access_token"] for row in kept["accounts"]]
    until(lambda: token not in tokens_shown(house, 6), 10)
    assert house.ask("POST", "/accounts/import", kept)["replaced"] == NAMES[:1]
    until(lambda: tokens_shown(house, 6) == {token}, 10)


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"accounts": []}, "accounts"),
        ({"accounts": [{"access_token": "abc"}]}, "accounts"),
        ({"accounts": [{"email": "a@b", "access_token": "a\nb"}]}, "accounts.0.access_token"),
        ({"accounts": [{"email": "a@b"}]}, "accounts.0.access_token"),
        ({"accounts": [{"email": "a@b", "access_token": "c", "is": 1}]}, "accounts.0.is"),
        ({"accounts": [{"email": "a/b", "access_token": "c"}]}, "accounts.0.email"),
    ],
)
def test_what_is_no_account_is_refused_by_its_member_and_nothing_is_taken(house, said, param):
    before = house.file.read_bytes()
    assert house.refusal("POST", "/accounts/import", said, 400)["param"] == param
    assert house.file.read_bytes() == before


@pytest.mark.req("R-CRED-012")
def test_a_login_by_a_code_is_begun_asked_about_and_in_use(house):
    begun = house.ask("POST", "/device-auth")
    assert begun["user_code"]
    assert begun["url"].startswith(house.logins.url)
    assert begun["expires_at"] > time.time()
    (code,) = [each for each in house.logins.devices if each]
    assert code not in json.dumps(begun)
    pending = {"state": "pending", "account": None, "slower": False, "why": None}
    # Of two workers either may be asked.
    for _ in range(4):
        assert house.ask("POST", "/device-auth/poll", {"id": begun["id"]}) == pending
    house.logins.typed = True
    house.logins.extra = {"user": {"id": "u1", "email": NAMES[2]}}
    told = house.ask("POST", "/device-auth/poll", {"id": begun["id"]})
    assert (told["state"], told["account"]) == ("complete", NAMES[2])
    assert house.names() == NAMES
    kept = json.loads(house.file.read_text())[2]
    assert (kept["org_id"], house.logins.is_good(kept["access_token"])) == (ORG, True)
    assert house.audit("ob1_account.login")["after"] == {"account": NAMES[2]}
    again = house.ask("POST", "/device-auth/poll", {"id": begun["id"]})
    assert again["state"] in {"error", "expired"}


@pytest.mark.req("R-CRED-012")
def test_a_login_that_is_refused_says_so_and_one_that_was_never_begun_is_none(house):
    begun = house.ask("POST", "/device-auth")
    house.logins.denied = True
    told = house.ask("POST", "/device-auth/poll", {"id": begun["id"]})
    assert (told["state"], told["account"]) == ("error", None)
    assert "access_denied" in told["why"]
    forged = begun["id"][:-6] + "AAAAA="
    for name in ("nobody", forged):
        assert house.refusal("POST", "/device-auth/poll", {"id": name}, 400)["param"] == "id"


def accounts_taken(house, calls):
    """Whose token each of so many calls was made with."""
    house.backend.seen.clear()
    assert {house.server.chat(MODEL).status for _ in range(calls)} == {200}
    tokens = [
        call["headers"]["authorization"][7:].partition(":")[0] for call in house.backend.seen
    ]
    return [house.logins.access[token].user for token in tokens]


def shares(house, calls):
    """How many of so many calls each of three accounts has made."""
    taken = accounts_taken(house, calls)
    return [taken.count(name) for name in ("ada", "bob", "eve")]


@pytest.mark.req("R-CRED-011")
def test_whose_turn_it_is_is_said_while_serving_and_goes_before_the_configuration(house):
    house.put("ada", "bob", "eve")
    assert len(set(accounts_taken(house, 12))) < 3, "each of two workers stays with one"
    told = house.ask("PUT", "/rotation-mode", {"mode": "balanced"})
    assert told == {"rotation_mode": "balanced", "rotation_mode_from": "admin"}
    try:
        until(lambda: min(shares(house, 24)) >= 4)
        assert house.ask("GET")["rotation_mode_from"] == "admin"
        rows = house.server.ask("GET", "/api/admin/providers/ob1", key=house.admin).json()
        assert rows["source"] == "built-in", "a turn is no change of the provider"
        at = ("--key", house.admin, "--base-url", house.server.url)
        said = beside(house.server, "ob1", "rotation", *at)
        assert said == "balanced, as an administrator says.\n"
        assert "performance" in beside(house.server, "ob1", "rotation", "performance", *at)
        house.ask("PUT", "/rotation-mode", {"mode": "balanced"})
        path = "/api/admin/providers/ob1"
        reply = house.server.ask("DELETE", path, key=house.admin)
        assert reply.status == 404, "there is nothing of the provider to forget"
        assert house.ask("GET")["rotation_mode"] == "balanced"
        # A provider that is disabled and enabled keeps it.
        for verb in ("disable", "enable"):
            path = f"/api/admin/providers/ob1/{verb}"
            assert house.server.ask("POST", path, key=house.admin).status == 200
        assert house.ask("GET")["rotation_mode"] == "balanced"
    finally:
        told = house.ask("PUT", "/rotation-mode", {"mode": None})
    assert told == {"rotation_mode": "cache-first", "rotation_mode_from": "configuration"}
    assert house.audit("ob1.rotation_mode")["after"] == {"mode": None}
    assert house.refusal("PUT", "/rotation-mode", {"mode": "worst"}, 400)["param"] == "mode"


def test_the_servers_failure_is_told_as_one_of_the_upstream(house, tmp_path):
    said = environment(house.logins, tmp_path / "accounts.json")
    said |= {
        "OB1_DEVICE_URL": "http://127.0.0.1:9/device",
        "OB1_PROXY_URL": "http://me:pa55word@127.0.0.1:9",
        "OB1_ROTATION_MODE": "balanced",
    }
    with gateway_server(tmp_path, **said) as server:
        admin = admin_key(server)
        reply = server.ask("POST", f"{AT}/device-auth", key=admin)
        assert (reply.status, reply.json()["error"]["type"]) == (502, "server_error")
        told = server.ask("GET", AT, key=admin)
        assert told.json()["proxy"] == "http://127.0.0.1:9"
        assert told.json()["rotation_mode"] == "balanced"
        assert b"pa55word" not in told.body
        user = made_key(server, admin, "alice", tenant="one", role="tenant_admin")["key"]
        assert server.ask("GET", AT, key=user).status == 403
