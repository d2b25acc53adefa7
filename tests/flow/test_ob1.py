"""OB-1 as a provider: its accounts as keys, its words for what fails, its money as an estimate."""

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from connect_proxy import connect_proxy
from ob1_service import ORG, environment, ob1_service, put_accounts
from servers import gateway_server, until

MODEL = "ob1/anthropic/claude-sonnet-4.6"
NO_TOKEN = "No valid OB-1 token. Run ob1 auth to login."


@pytest.fixture
def ob1():
    with ob1_service() as both:
        yield both


@pytest.fixture
def served(ob1, tmp_path):
    """Starts a gateway before OB-1, with accounts whose tokens end so soon."""
    opened = []
    file = tmp_path / "secrets" / "config" / "accounts.json"

    def start(*names, ends_in_s=3600, **env):
        if names:
            put_accounts(ob1[0], file, *names, ends_in_s=ends_in_s)
        context = gateway_server(tmp_path, **{**environment(ob1[0], file), **env})
        server = context.__enter__()
        opened.append(context)
        server.accounts = file
        return server

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def message_of(reply) -> str:
    return reply.json()["error"]["message"]


def logged(gateway, **equal) -> list[dict]:
    """The lines with these members; a line is written a moment after what it tells."""

    def found() -> list[dict]:
        text = gateway.log.read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if equal.items() <= line.items()]

    return until(found, 5)


@pytest.mark.req("R-OB1-001", "R-OB1-009", "R-CRED-011", "R-CRED-013", "R-ADD-013")
def test_an_account_is_a_key_and_the_whole_request_arrives(served, ob1):
    gateway = served("ada")
    logins, backend = ob1
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    reply = gateway.chat(MODEL, tools=tools, seed=7, temperature=0.5)
    assert reply.status == 200, reply.body
    assert reply.json()["choices"][0]["message"]["content"] == "Hello from OB-1."
    assert reply.headers["x-dragoman-provider"] == "ob1"
    (call,) = backend.seen
    shown = call["headers"]["authorization"].removeprefix("Bearer ")
    assert shown.endswith(f":{ORG}")
    assert logins.is_good(shown.partition(":")[0])
    assert (call["headers"]["http-referer"], call["headers"]["x-title"]) == (
        "https://dashboard.openblocklabs.com",
        "Dragoman",
    )
    assert call["body"]["tools"] == tools
    assert (call["body"]["seed"], call["body"]["model"]) == (7, "anthropic/claude-sonnet-4.6")
    assert gateway.chat(MODEL, key=None).status == 401, "our own key is still needed"
    assert gateway.ask("GET", "/v1/models", key=None).status == 401


@pytest.mark.req("R-CRED-013", "R-ADD-014", "R-OB1-007")
def test_a_stream_asks_for_usage_and_it_counts_once(served, ob1):
    gateway = served("ada")
    reply = gateway.chat(MODEL, stream=True)
    assert b"data: [DONE]" in reply.body
    assert ob1[1].seen[0]["body"]["stream_options"] == {"include_usage": True}
    row = gateway.row(reply.headers["x-request-id"])
    assert (row["input_tokens"], row["output_tokens"]) == (100, 20)
    assert (row["cost_usd"], row["cost_from"]) == ("0.003", "estimated")


@pytest.mark.req("R-OB1-007", "R-USE-010")
@pytest.mark.parametrize(
    ("cost", "prices", "usage", "expected"),
    [
        (None, "", {"prompt_tokens": 100, "completion_tokens": 20}, ("0.003", "estimated")),
        (0.5, "", {"prompt_tokens": 100, "completion_tokens": 20}, ("0.5", "provider")),
        (None, "3", {"prompt_tokens": 100, "completion_tokens": 20}, ("0.00036", "priced")),
        (None, "", {"prompt_tokens": 0, "completion_tokens": 0}, ("0", "estimated")),
    ],
)
def test_what_it_costs_is_said_by_it_or_the_operator_or_is_an_estimate(
    served, ob1, tmp_path, cost, prices, usage, expected
):
    if prices:
        text = f'[prices."{MODEL}"]\ninput = "{prices}"\noutput = "{prices}"\n'
        (tmp_path / "dragoman.toml").write_text(text)
    gateway = served("ada")
    ob1[1].cost, ob1[1].usage = cost, usage
    reply = gateway.chat(MODEL)
    row = gateway.row(reply.headers["x-request-id"])
    assert (row["cost_usd"], row["cost_from"]) == expected
    # An estimate is told where it can be told as one.
    told = None if expected[1] == "estimated" else expected[0]
    assert reply.headers.get("x-dragoman-cost-usd") == told
    (done,) = logged(gateway, route="/v1/chat/completions")
    assert done.get("cost_usd") == told
    assert row["tokens_from"] == "reported"


@pytest.mark.req("R-OB1-002", "R-OB1-006", "R-TEST-008", "R-CRED-014")
def test_without_an_account_the_command_is_told_and_the_next_login_is_taken_into_use(
    served, ob1, tmp_path
):
    file = tmp_path / "secrets" / "config" / "accounts.json"
    file.parent.mkdir(parents=True)
    file.write_text("[]")
    gateway = served()
    for _ in range(7):
        reply = gateway.chat(MODEL)
        assert (reply.status, message_of(reply)) == (503, NO_TOKEN)
    reply = gateway.message(MODEL)
    assert (reply.status, reply.json()["type"], message_of(reply)) == (503, "error", NO_TOKEN)
    assert not ob1[1].seen
    # As its message says, and while the gateway runs.
    ob1[0].typed = True
    ob1[0].extra = {"user": {"id": "u1", "email": "ada@example.com"}}
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "ob1", "auth", "--no-browser"],
        env={**gateway.environment, "PATH": "", "DRAGOMAN_SECRETS": str(tmp_path / "secrets")},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(file.read_text())[0]["org_id"] == ORG
    until(lambda: gateway.chat(MODEL).status == 200, 10)


@pytest.mark.req("R-OB1-003", "R-TEST-008")
def test_a_backend_that_cannot_be_reached_is_told_in_its_words(served, ob1):
    gateway = served("ada", OB1_BASE_URL="http://127.0.0.1:9/api/v1", MAX_RETRIES="0")
    for reply in (gateway.chat(MODEL), gateway.chat(MODEL, stream=True), gateway.message(MODEL)):
        assert reply.status == 502
        assert message_of(reply).startswith("Backend error: ")
        assert "127.0.0.1" in message_of(reply) or "connect" in message_of(reply).lower()


@pytest.mark.req("R-OB1-004", "R-REL-007", "R-TEST-008", "R-CRED-011")
@pytest.mark.parametrize("stream", [False, True])
def test_a_token_that_is_refused_is_renewed_once_and_the_call_made_again(served, ob1, stream):
    gateway = served("ada")
    logins, backend = ob1
    assert gateway.chat(MODEL).status == 200
    logins.access.clear()  # it no longer takes what it gave out
    reply = gateway.chat(MODEL, stream=stream)
    assert reply.status == 200, reply.body
    assert logins.count("refresh_token") == 1
    assert len(backend.seen) == 3
    assert [call["headers"]["authorization"] for call in backend.seen][1:] != [
        backend.seen[0]["headers"]["authorization"]
    ] * 2
    row = gateway.row(reply.headers["x-request-id"])
    assert (row["status"], row["attempts"]) == ("complete", 1)
    kept = json.loads(gateway.accounts.read_text())[0]
    assert logins.is_good(kept["access_token"])


@pytest.mark.req("R-OB1-004", "R-REL-007", "R-TEST-008", "R-AUTH-010")
def test_a_token_that_is_refused_and_cannot_be_renewed_is_401_in_its_words(served, ob1):
    gateway = served("ada")
    ob1[0].revoke_all()
    reply = gateway.chat(MODEL)
    assert (reply.status, message_of(reply)) == (401, "Token expired and refresh failed")
    assert len(ob1[1].seen) == 1
    # It is known by now: nobody is asked again, and the command is told.
    reply = gateway.message(MODEL)
    assert (reply.status, message_of(reply)) == (503, NO_TOKEN)
    assert ob1[0].count("refresh_token") == 1
    until(lambda: "log in again: dragoman ob1 auth" in gateway.log.read_text())


@pytest.mark.req("R-OB1-004", "R-OB1-005")
def test_a_new_token_that_is_refused_as_well_is_the_end_of_it(served, ob1):
    gateway = served("ada")
    ob1[1].refuse_all = True
    reply = gateway.chat(MODEL)
    assert reply.status == 401
    said = message_of(reply)
    assert said.startswith(
        'OB-1 returned 401: {"error": "unauthorized", "token": "Bearer [redacted]'
    )
    assert (len(ob1[1].seen), ob1[0].count("refresh_token")) == (2, 1)


@pytest.mark.req("R-OB1-005", "R-TEST-008")
@pytest.mark.parametrize("status", [400, 402, 403, 404, 418, 429, 500, 503])
def test_any_other_status_is_passed_on_with_the_first_500_characters(served, ob1, status):
    gateway = served("ada", MAX_RETRIES="0")
    ob1[1].answers = [(status, b"x" * 600)] * 3
    reply = gateway.chat(MODEL)
    assert reply.status == status, reply.body
    assert message_of(reply) == f"OB-1 returned {status}: {'x' * 500}"
    (refused,) = logged(gateway, message="ob1: refused")
    assert refused["said"] == "x" * 200


@pytest.mark.req("R-OB1-008")
def test_calls_are_logged_with_what_was_asked_for_and_what_it_was_taken_for(served, ob1):
    gateway = served("ada")
    reply = gateway.message("claude-sonnet-4-6-20260101")
    assert reply.status == 200, reply.body
    (asked,) = logged(gateway, message="ob1: request")
    assert (asked["requested"], asked["model"], asked["stream"], asked["messages"]) == (
        "claude-sonnet-4-6-20260101",
        "anthropic/claude-sonnet-4.6",
        False,
        1,
    )
    assert not [token for token in ob1[0].access if token in gateway.log.read_text()]
    (done,) = logged(gateway, route="/v1/messages")
    assert (done["model"], done["tokens"]["input"], done["tokens"]["output"]) == (
        "anthropic/claude-sonnet-4.6",
        100,
        20,
    )


@pytest.mark.gate
@pytest.mark.req("R-CRED-011", "R-CRED-012")
def test_five_hundred_requests_with_a_token_about_to_end_renew_it_once(served, ob1):
    logins, backend = ob1
    logins.delay_s = 0.5
    gateway = served("ada", ends_in_s=-10)
    with ThreadPoolExecutor(60) as pool:
        replies = list(pool.map(lambda _: gateway.chat(MODEL).status, range(500)))
    assert replies == [200] * 500
    assert logins.count("refresh_token") == 1
    assert len(backend.seen) == 500


@pytest.mark.req("R-CRED-011")
def test_several_workers_renew_a_token_once(served, ob1):
    ob1[0].delay_s = 0.3
    gateway = served("ada", ends_in_s=30, WORKERS="2")
    time.sleep(2.5)  # they look after it unasked
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: gateway.chat(MODEL).status, range(60))) == {200}
    assert ob1[0].count("refresh_token") == 1


def accounts_of(backend, logins) -> list[str]:
    tokens = [call["headers"]["authorization"][7:].partition(":")[0] for call in backend.seen]
    return [logins.access[token].user if token in logins.access else "?" for token in tokens]


@pytest.mark.req("R-CRED-011")
@pytest.mark.parametrize("mode", ["cache-first", "balanced", "performance"])
def test_accounts_are_taken_as_the_operator_says(served, ob1, mode):
    gateway = served("ada", "bob", "eve", OB1_ROTATION_MODE=mode)
    for _ in range(30):
        assert gateway.chat(MODEL).status == 200
    taken = accounts_of(ob1[1], ob1[0])
    match mode:
        case "cache-first":
            assert taken == ["ada"] * 30
        case "balanced":
            assert sorted(taken) == ["ada"] * 10 + ["bob"] * 10 + ["eve"] * 10
            assert all(one != other for one, other in pairwise(taken))
        case "performance":
            assert all(taken.count(name) >= 2 for name in ("ada", "bob", "eve"))
            assert taken != sorted(taken)


@pytest.mark.req("R-CRED-011")
def test_an_account_that_is_lost_leaves_its_calls_to_the_others(served, ob1):
    gateway = served("ada", "bob")
    logins, backend = ob1
    assert gateway.chat(MODEL).status == 200
    for token, family in [*logins.access.items(), *logins.refresh.items()]:
        if family.user == "ada":
            logins.access.pop(token, None)
            logins.refresh.pop(token, None)
    for _ in range(5):
        assert gateway.chat(MODEL).status == 200
    assert accounts_of(backend, logins)[2:] == ["bob"] * 5
    assert logins.count("refresh_token") == 1
    kept = json.loads(gateway.accounts.read_text())
    assert ["login_again" in each for each in kept] == [True, False]


def test_calls_that_are_under_way_do_not_end_a_renewal_that_others_wait_for(served, ob1):
    logins, _ = ob1
    logins.delay_s = 0.6
    gateway = served("ada", ends_in_s=-10)

    def leave() -> None:
        with pytest.raises(TimeoutError):
            gateway.ask(
                "POST", "/v1/chat/completions", {"model": MODEL, "messages": []}, timeout=0.2
            )

    leaving = threading.Thread(target=leave)
    leaving.start()
    time.sleep(0.1)
    assert gateway.chat(MODEL).status == 200
    leaving.join()
    assert logins.count("refresh_token") == 1


@pytest.mark.req("R-USE-010", "R-OB1-007")
def test_administrators_see_the_accounts_and_the_money_of_today(served, ob1):
    admin = "drg_admin_for_this_test"
    env = {"DEFAULT_ADMIN_USER_ID": "root", "DEFAULT_ADMIN_API_KEY": admin}
    gateway = served("ada", "bob", **env)
    ob1[1].usage = {"prompt_tokens": 1000, "completion_tokens": 200}
    for _ in range(2):
        assert gateway.chat(MODEL).status == 200
    ob1[1].usage = {"prompt_tokens": 0, "completion_tokens": 0}
    assert gateway.chat(MODEL).status == 200
    ob1[1].usage, ob1[1].cost = {"prompt_tokens": 1, "completion_tokens": 1}, 0.25
    assert gateway.chat(MODEL).status == 200
    reply = gateway.chat(MODEL)
    assert reply.status == 200
    call = reply.headers["x-dragoman-call-id"]
    explained = gateway.ask("GET", f"/v1/requests/{call}/explain")
    assert explained.json()["attempts"][0]["credential"].startswith("account-")
    assert "example.com" not in explained.body.decode(), (
        "callers are not told whose account it was"
    )
    seen = gateway.ask("GET", f"/api/admin/requests/{call}", key=admin)
    assert "ada@example.com" in seen.body.decode()
    told = gateway.ask("GET", "/api/admin/accounts", key=admin).json()
    assert [
        (each["account"], each["organization"], each["state"]) for each in told["accounts"]
    ] == [
        ("ada@example.com", "One", "good"),
        ("bob@example.com", "One", "good"),
    ]
    (today,) = told["today"]
    assert (today["provider"], today["requests"]) == ("ob1", 5)
    assert today["usage"]["cost_usd"] == "0.5"
    assert today["usage"]["estimated"] == {
        "requests": 3,
        "input_tokens": 0,  # they were reported
        "output_tokens": 0,
        "cost_usd": "0.06",
    }
    assert not [token for token in ob1[0].access if token in json.dumps(told)]
    assert gateway.ask("GET", "/api/admin/accounts").status == 403


@pytest.mark.req("R-CRED-013", "R-OB1-003")
def test_ob1_and_its_accounts_are_reached_through_a_proxy_where_one_is_set(served, ob1):
    with connect_proxy() as proxy:
        gateway = served("ada", ends_in_s=-10, OB1_PROXY_URL=proxy.url, MAX_RETRIES="0")
        assert gateway.chat(MODEL).status == 200
        assert len(proxy.asked) >= 2
        assert set(proxy.asked) == {f"CONNECT 127.0.0.1:{ob1[0].port}"}
        proxy.password = "another"
        ob1[0].access.clear()
        reply = gateway.chat(MODEL)
        assert reply.status in {401, 502}, reply.body
        assert "p%40ss" not in gateway.log.read_text()
