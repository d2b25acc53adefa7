"""A stream that its client has lost goes on from behind the last event that came."""

import http.client
import json
import random
import re
import threading
import time
import uuid
from contextlib import closing

import pytest

from servers import asked, gateway_server, new_api_key, providers_at

CHAT = "/v1/chat/completions"
END = re.compile("\r?\n\r?\n")
RESUMABLE = {"x-dragoman-resumable": "true"}
STREAMS = {
    CHAT: {"model": "openai/{}", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {
        "model": "anthropic/{}",
        "stream": True,
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "/v1/responses": {"model": "openai/{}", "stream": True, "input": "hi"},
    "/v1beta/models/openai/{}:streamGenerateContent?alt=sse": {
        "contents": [{"parts": [{"text": "hi"}]}]
    },
}


def named(what):
    """A model's name that no other test has."""
    return f"gpt-4o-mini--mock-message-{uuid.uuid4().hex}--mock-{what}"


def events(body):
    return END.split(body.decode("latin-1"))[:-1]


def last_id(body):
    """The id of the last whole event, and the bytes up to its end."""
    ends = [found.end() for found in END.finditer(body.decode("latin-1"))]
    whole = body[: ends[-1]] if ends else b""
    found = [line for line in whole.split(b"\n") if line.startswith(b"id: ")]
    return (found[-1][4:].decode() if found else None), whole


def begin(port, path, body, headers, size):
    """The first ``size`` bytes of a stream; then its client is gone."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        sent = {"authorization": "Bearer drg_test", "content-type": "application/json", **headers}
        connection.request("POST", path, json.dumps(body), sent)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        read = b""
        while len(read) < size and (piece := response.read1(size - len(read))):
            read += piece
        return response.headers["x-dragoman-call-id"], read


def request(path, model):
    body = json.loads(json.dumps(STREAMS[path]).replace("{}", model))
    return path.replace("{}", model), body


@pytest.mark.parametrize("path", STREAMS)
def test_a_lost_stream_goes_on_where_it_was(mock, gateway, path):
    model = named("chunk-delay-30--mock-length-300")
    where, body = request(path, model)
    call_id, read = begin(gateway.port, where, body, RESUMABLE, 2500)
    event_id, had = last_id(read)
    rest = gateway.ask("GET", f"/v1/streams/{call_id}", headers={"last-event-id": event_id})
    whole = gateway.ask("GET", f"/v1/streams/{call_id}")
    assert rest.status == whole.status == 200
    assert had + rest.body == whole.body
    assert rest.headers["content-type"].startswith("text/event-stream")
    assert rest.headers["x-dragoman-replay-of"] == call_id
    ids = [line[4:] for line in whole.body.decode().split("\n") if line.startswith("id: ")]
    assert ids == [f"{call_id}:{number}" for number in range(1, len(events(whole.body)) + 1)]
    assert asked(mock, model) == 1


def test_beside_its_ids_a_resumable_stream_is_the_providers_own(gateway):
    _, body = request(CHAT, "gpt-4o-mini--mock-text-abc")
    plain = gateway.ask("POST", CHAT, body)
    resumable = gateway.ask("POST", CHAT, body, RESUMABLE)
    bare = [event.partition("\n")[2] for event in events(resumable.body)]

    def steady(event):
        said = json.loads(event[6:]) if event != "data: [DONE]" else {}
        return {name: value for name, value in said.items() if name not in {"id", "created"}}

    assert [steady(event) for event in bare] == [steady(event) for event in events(plain.body)]
    assert b"id: " not in plain.body


def test_a_repeated_request_with_its_key_goes_on_too(mock, gateway):
    model = named("chunk-delay-30--mock-length-100")
    where, body = request(CHAT, model)
    headers = {"idempotency-key": uuid.uuid4().hex}
    _, read = begin(gateway.port, where, body, headers, 500)
    event_id, had = last_id(read)
    rest = gateway.ask("POST", where, body, {**headers, "last-event-id": event_id})
    whole = gateway.ask("POST", where, body, headers)
    assert had + rest.body == whole.body
    assert asked(mock, model) == 1
    other = {**body, "temperature": 1}
    refused = gateway.ask("POST", where, other, {**headers, "last-event-id": event_id})
    assert refused.status == 422


def test_a_stream_is_its_tenants_alone(gateway):
    """In local mode every key is of one tenant; a stored key may be of another."""
    call_id, _ = begin(gateway.port, *request(CHAT, named("words-1")), RESUMABLE, 10)
    key = new_api_key(gateway, "--name", "stranger", "--tenant", "elsewhere")
    reply = gateway.ask("GET", f"/v1/streams/{call_id}", key=key)
    assert reply.status == 404
    assert reply.headers["x-error-code"] == "stream_not_found"
    assert gateway.ask("GET", f"/v1/streams/{call_id}").status == 200


def test_what_cannot_be_resumed_is_said(gateway):
    nowhere = gateway.ask("GET", f"/v1/streams/{uuid.uuid4()}")
    assert (nowhere.status, nowhere.headers["x-error-code"]) == (404, "stream_not_found")
    call_id, _ = begin(gateway.port, *request(CHAT, "gpt-4o-mini"), RESUMABLE, 10)
    path = f"/v1/streams/{call_id}"
    garbage = gateway.ask("GET", path, headers={"last-event-id": "7"})
    assert (garbage.status, garbage.headers["x-error-code"]) == (400, "invalid_last_event_id")
    foreign = gateway.ask("GET", path, headers={"last-event-id": f"{uuid.uuid4()}:1"})
    assert foreign.status == 404
    beyond = gateway.ask("GET", path, headers={"last-event-id": f"{call_id}:100000"})
    assert beyond.status == 404
    whole = gateway.chat(headers=RESUMABLE)
    assert gateway.ask("GET", f"/v1/streams/{whole.headers['x-dragoman-call-id']}").status == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"model": "openai/gpt-4o-mini", "messages": []}),
        (
            "/v1beta/models/openai/gpt-4o-mini:streamGenerateContent",
            {"contents": [{"parts": [{"text": "hi"}]}]},
        ),
    ],
)
def test_a_stream_without_events_says_that_it_cannot_be_resumed(gateway, path, body):
    if "messages" in body:
        body["messages"] = [{"role": "user", "content": "hi"}]
    reply = gateway.ask("POST", path, body, RESUMABLE)
    assert reply.status == 200
    assert "x-dragoman-resumable" in reply.headers["x-dragoman-dropped"]
    assert b"\nid: " not in reply.body
    strict = gateway.ask("POST", path, body, {**RESUMABLE, "x-dragoman-strict": "true"})
    assert strict.status == 400


def test_a_broken_stream_is_resumed_to_its_error(mock, gateway):
    model = named("chunk-delay-30--mock-cut-1600--mock-length-400")
    call_id, read = begin(gateway.port, *request(CHAT, model), RESUMABLE, 700)
    event_id, had = last_id(read)
    rest = gateway.ask("GET", f"/v1/streams/{call_id}", headers={"last-event-id": event_id})
    whole = gateway.ask("GET", f"/v1/streams/{call_id}")
    assert had + rest.body == whole.body
    assert b'"error"' in rest.body


def test_a_resumed_stream_is_found_by_every_worker(mock, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **providers_at(mock.port)) as server:
        model = named("chunk-delay-60--mock-length-100")
        call_id, read = begin(server.port, *request(CHAT, model), RESUMABLE, 600)
        event_id, had = last_id(read)
        headers = {"last-event-id": event_id}
        # A new connection each: both workers are asked.
        rests = {
            server.ask("GET", f"/v1/streams/{call_id}", headers=headers).body for _ in range(8)
        }
        assert len(rests) == 1
        assert (had + rests.pop()).endswith(b"data: [DONE]\n\n")
        assert asked(mock, model) == 1


def test_a_stream_ends_with_words_where_the_server_shuts_down(mock, tmp_path):
    with gateway_server(tmp_path, DRAIN_TIMEOUT_S="1", **providers_at(mock.port)) as server:
        model = named("chunk-delay-500--mock-length-4000")
        bodies = []

        def read():
            bodies.append(begin(server.port, *request(CHAT, model), RESUMABLE, 10**6)[1])

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(1)
        assert server.stop() == 0
        thread.join(10)
    assert b"server_draining" in bodies[0]
    assert bodies[0].endswith(b"data: [DONE]\n\n")


def cut_and_resumed(server, model, dice):
    """One stream, cut at random places until it is whole; the transcript, and how often it was cut."""
    where, body = request(CHAT, model)
    call_id, read = begin(server.port, where, body, RESUMABLE, dice.randrange(1, 2500))
    had, cuts = b"", 0
    event_id, whole = last_id(read)
    had += whole
    while not had.endswith(b"data: [DONE]\n\n"):
        cuts += 1
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as link:
            headers = {"authorization": "Bearer drg_test"}
            if event_id:
                headers["last-event-id"] = event_id
            link.request("GET", f"/v1/streams/{call_id}", headers=headers)
            response = link.getresponse()
            assert response.status == 200, response.read()
            size = dice.randrange(1, 2500)
            more = b""
            while len(more) < size and (piece := response.read1(size - len(more))):
                more += piece
        found, whole = last_id(more)
        event_id = found or event_id
        had += whole
    reply = server.ask("GET", f"/v1/streams/{call_id}")
    assert reply.body == had
    return cuts


@pytest.mark.parametrize(
    "count",
    [40, pytest.param(1000, marks=[pytest.mark.gate, pytest.mark.timeout(600)])],
    ids=["few", "thousand"],
)
def test_streams_cut_at_random_are_whole_once_resumed(mock, gateway, count):
    model = named("length-600--mock-chunk-delay-1")
    dice = random.Random(4)
    seeds = iter([dice.random() for _ in range(count)])
    lock = threading.Lock()
    cuts, failed = [], []

    def work():
        while True:
            with lock:
                seed = next(seeds, None)
            if seed is None:
                return
            try:
                cuts.append(cut_and_resumed(gateway, model, random.Random(seed)))
            except (AssertionError, OSError) as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(cuts) == count
    assert sum(cuts) > count
    assert asked(mock, model) == count
