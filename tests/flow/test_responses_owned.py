"""Responses that a provider keeps: whose they are from the first frame on, and how they are replayed."""

from __future__ import annotations

import http.client
import json
import signal
import time
from contextlib import closing

import pytest

from responses_upstream import ResponsesUpstream, responses_upstream
from servers import KEY, gateway_server, new_api_key

OPENAI = "openai/gpt-5-mini"
GROQ = "groq/llama-3.3-70b-versatile"
PART = {"type": "output_text", "text": "x", "annotations": []}


@pytest.fixture(scope="module")
def upstream():
    with responses_upstream() as up:
        yield up


@pytest.fixture(scope="module")
def house(upstream: ResponsesUpstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("owned")
    environment = {**upstream.environment(2), "STREAM_IDLE_TIMEOUT_MS": "600"}
    with gateway_server(folder, **environment) as up:
        yield up


@pytest.fixture(scope="module")
def stranger(house):
    """The key of another tenant."""
    return new_api_key(house, "--name", "x", "--tenant", "theirs")


def ask(server, text="hi", model=OPENAI, key=KEY, **members):
    return server.ask("POST", "/v1/responses", {"model": model, "input": text, **members}, key=key)


def made(server, *arguments, **members):
    reply = ask(server, *arguments, **members)
    assert reply.status == 200, reply.body
    return reply.json()


def events(body):
    frames = [frame for frame in body.decode().split("\n\n") if "data: " in frame]
    return [json.loads(frame.split("data: ", 1)[1]) for frame in frames]


def begun(server, method, path, body=None):
    """A stream of which the head is there, and its connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    return connection, connection.getresponse()


# --- whose they are


def test_a_stream_that_is_cut_belongs_to_its_caller(house, stranger):
    body = {"model": "openai/hangs", "input": "one", "stream": True}
    connection, response = begun(house, "POST", "/v1/responses", body)
    seen = b""
    while b"output_text.delta" not in seen:
        seen += response.readline()
    first = events(seen.rpartition(b"\n\n")[0])[0]["response"]
    response.close()
    connection.close()
    path = f"/v1/responses/{first['id']}"
    assert house.ask("GET", path).json()["id"] == first["id"]
    assert house.ask("GET", path, key=stranger).status == 404
    item = {"type": "item_reference", "id": first["id"].replace("resp", "msg")}
    refused = ask(house, [item], key=stranger)
    assert refused.json()["error"]["code"] == "item_not_found"


def test_what_a_provider_keeps_for_one_tenant_no_other_reaches_by_its_id(
    house, stranger, upstream
):
    own = made(house, "one", conversation="conv_mine")
    (message,) = own["output"]
    asked = len(upstream.asked)
    for item in (
        message,
        {"type": "item_reference", "id": message["id"]},
        {"type": "reasoning", "id": message["id"], "summary": []},
        {"type": "message", "id": message["id"], "role": "user", "content": "x"},
    ):
        refused = ask(house, [item], key=stranger)
        assert refused.status == 404
        error = refused.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", "input")
        assert message["id"] in error["message"]
    refused = ask(house, key=stranger, conversation="conv_mine")
    assert refused.status == 404
    assert "conv_mine" in refused.json()["error"]["message"]
    refused = ask(house, key=stranger, previous_response_id=own["id"])
    assert refused.json()["error"]["code"] == "previous_response_not_found"
    assert len(upstream.asked) == asked
    # Its own tenant says the same, and the provider is asked.
    made(house, [message], conversation={"id": "conv_mine"})
    made(house, [message], previous_response_id=own["id"])
    # What nobody has said here was begun elsewhere.
    made(house, [{**message, "id": "msg_elsewhere"}], key=stranger, conversation="conv_elsewhere")


def test_what_outlives_a_response_stays_its_callers(house, stranger):
    own = made(house, "one", conversation="conv_lasting")
    (message,) = own["output"]
    assert house.ask("DELETE", f"/v1/responses/{own['id']}").status == 200
    assert house.ask("GET", f"/v1/responses/{own['id']}").status == 404
    refused = ask(house, key=stranger, conversation="conv_lasting")
    assert refused.json()["error"]["code"] == "conversation_not_found"
    refused = ask(house, [{"type": "item_reference", "id": message["id"]}], key=stranger)
    assert refused.json()["error"]["code"] == "item_not_found"
    # It is no response, for anybody.
    assert house.ask("GET", "/v1/responses/conv_lasting").status == 404
    refused = ask(house, previous_response_id="conv_lasting")
    assert refused.status in {400, 404}
    made(house, [message], conversation="conv_lasting")


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_is_its_callers_whatever_store_says(house, stranger, stream):
    name = f"conv_unstored_{stream}"
    assert ask(house, conversation=name, store=False, stream=stream).status == 200
    refused = ask(house, key=stranger, conversation=name)
    assert refused.json()["error"]["code"] == "conversation_not_found"
    assert ask(house, conversation=name, store=False).status == 200


@pytest.mark.parametrize("query", ["", "?stream=true"])
def test_items_that_came_in_the_background_are_its_callers_once_they_are_seen(
    house, stranger, upstream, query
):
    reply = made(house, "one", background=True)
    assert reply["output"] == []
    name = reply["id"].replace("resp", "msg")
    item = {"type": "message", "id": name, "role": "assistant", "content": []}
    made(house, [item], key=stranger)  # nobody has told of it yet
    for account in upstream.accounts.values():
        if reply["id"] in account.responses:
            done = {**reply, "status": "completed", "output": [{**item, "content": [PART]}]}
            account.responses[reply["id"]] = done
    assert house.ask("GET", f"/v1/responses/{reply['id']}{query}").status == 200
    assert ask(house, [item], key=stranger).json()["error"]["code"] == "item_not_found"
    made(house, [item])


def test_nobody_waits_for_the_database_and_a_killed_process_loses_no_note(upstream, tmp_path):
    environment = upstream.environment()
    with gateway_server(tmp_path, **environment) as first:
        made(first, "before")
        file = tmp_path / "home" / "dragoman.db"
        aside = file.rename(tmp_path / "aside.db")
        start = time.monotonic()
        reply = made(first, "one")
        assert time.monotonic() - start < 2
        assert reply["store"] is True
        # Here it is found all the same.
        assert first.ask("GET", f"/v1/responses/{reply['id']}").json() == reply
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(10)
        aside.rename(file)
    assert list((tmp_path / "home" / "notes").glob("*.journal"))
    with gateway_server(tmp_path, **environment) as second:
        deadline = time.monotonic() + 10
        while second.ask("GET", f"/v1/responses/{reply['id']}").status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(list((tmp_path / "home" / "notes").glob("*.journal"))) == 1


def test_another_worker_finds_what_one_has_just_noted(upstream, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **upstream.environment()) as up:
        for number in range(20):
            reply = made(up, f"turn {number}")
            assert up.ask("GET", f"/v1/responses/{reply['id']}").status == 200


# --- a replay


def replayed(house, model, query="stream=true"):
    reply = made(house, "one", model=model)
    found = house.ask("GET", f"/v1/responses/{reply['id']}?{query}")
    assert found.status == 200
    assert found.headers["content-type"].startswith("text/event-stream")
    return events(found.body)


@pytest.mark.parametrize(
    ("model", "code"),
    [("openai/slow", "stream_timeout"), ("openai/short", "upstream_truncated")],
)
def test_a_replay_that_falls_silent_or_ends_too_early_ends_with_an_error(house, model, code):
    seen = replayed(house, model)
    kinds = [event["type"] for event in seen]
    assert kinds == ["response.created", "error", "response.failed"]
    assert seen[1]["code"] == code
    assert [event["sequence_number"] for event in seen] == [0, 1, 2]


def test_behind_the_last_event_of_a_replay_there_is_nothing_and_no_error(house):
    assert [
        event["type"] for event in replayed(house, OPENAI, "stream=true&starting_after=7")
    ] == ["response.completed"]
    assert replayed(house, OPENAI, "stream=true&starting_after=8") == []


def test_a_replay_is_told_that_the_server_ends(upstream, tmp_path):
    environment = {**upstream.environment(), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, **environment) as up:
        reply = made(up, "one", model="openai/slow")
        connection, response = begun(up, "GET", f"/v1/responses/{reply['id']}?stream=true")
        with closing(connection):
            up.process.send_signal(signal.SIGTERM)
            seen = events(response.read())
        assert up.process.wait(20) == 0
    assert [event["type"] for event in seen][1:] == ["error", "response.failed"]
    assert seen[1]["code"] == "server_draining"


# --- in the log, the counters and the drain, as every other call


def lines(server, name):
    found = []
    # What follows the last line's end is being written.
    for line in server.log.read_text().rpartition("\n")[0].splitlines():
        said = json.loads(line)
        if said.get("request_id") == name and said.get("message") == "request":
            found.append((said["route"], said["status"], said.get("error")))
    return found


def until_lines(server, name):
    deadline = time.monotonic() + 10
    while not lines(server, name):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return lines(server, name)


def counted(server, status):
    text = server.ask("GET", "/metrics").body.decode()
    found = [
        line
        for line in text.splitlines()
        if line.startswith("dragoman_requests_total{") and f'status="{status}"' in line
        if 'provider="none"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_every_call_about_a_response_stands_in_the_log_and_the_counters(house):
    own = made(house, "one")["id"]
    ours = made(house, "one", model=GROQ, store=True)["id"]
    before = counted(house, 200), counted(house, 404)
    paths = {
        "own": f"/v1/responses/{own}",
        "items": f"/v1/responses/{ours}/input_items",
        "ours": f"/v1/responses/{ours}",
        "again": f"/v1/responses/{own}?stream=true",
    }
    for name, path in paths.items():
        assert house.ask("GET", path, headers={"x-request-id": f"log-{name}"}).status == 200
        route = "/v1/responses/{id}/input_items" if name == "items" else "/v1/responses/{id}"
        assert until_lines(house, f"log-{name}") == [(route, 200, None)]
    reply = house.ask("GET", "/v1/responses/resp_none", headers={"x-request-id": "log-none"})
    assert reply.status == 404
    (line,) = until_lines(house, "log-none")
    assert line == ("/v1/responses/{id}", 404, "response_not_found")
    assert (counted(house, 200), counted(house, 404)) == (before[0] + 4, before[1] + 1)


def test_a_head_has_no_body(house):
    name = made(house, "one")["id"]
    for query in ("", "?stream=true"):
        reply = house.ask("HEAD", f"/v1/responses/{name}{query}")
        assert (reply.status, reply.body) == (200, b"")


def test_a_tenant_has_so_many_responses_kept_and_no_more(upstream, tmp_path):
    with gateway_server(tmp_path, MAX_KEPT_RESPONSES="2", **upstream.environment()) as up:
        names = [made(up, "one", model=GROQ, store=True)["id"] for _ in range(2)]
        asked = len(upstream.asked)
        refused = ask(up, "three", model=GROQ, store=True)
        assert refused.status == 429
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("insufficient_quota", "store")
        assert refused.headers["x-should-retry"] == "false"
        assert len(upstream.asked) == asked
        # What is not kept here goes on, and so does all that is kept.
        assert made(up, "x", store=True)["store"] is True
        assert made(up, "x", model=GROQ, previous_response_id=names[1])["store"] is False
        assert up.ask("DELETE", f"/v1/responses/{names[0]}").status == 200
        assert made(up, "three", model=GROQ, store=True)["store"] is True
