"""The exact cache: the same request of the same key gets the same bytes again, and costs nothing."""

import os
import socket
import time
import uuid
from urllib.parse import urlsplit

import pytest

from lacking import lacking
from servers import asked, free_port, gateway_server, providers_at

CHAT = "/v1/chat/completions"
ASKED = {"x-dragoman-cache": "true"}


@pytest.fixture(scope="module")
def caching(mock, tmp_path_factory):
    settings = {"ANSWER_CACHE_TTL_S": "60", **providers_at(mock.port)}
    with gateway_server(tmp_path_factory.mktemp("caching"), **settings) as server:
        yield server


def named(what="words-2"):
    """A model's name that no other test has."""
    return f"gpt-4o-mini--mock-message-{uuid.uuid4().hex}--mock-{what}"


def said(reply):
    return reply.headers.get("x-dragoman-cache")


@pytest.mark.parametrize("stream", [False, True])
def test_a_hit_has_the_same_bytes_and_costs_nothing(mock, caching, stream):
    model, text = "gpt-4o-mini", uuid.uuid4().hex
    before = asked(mock, model)
    first = caching.chat(f"openai/{model}", text, headers=ASKED, stream=stream)
    again = caching.chat(f"openai/{model}", text, headers=ASKED, stream=stream)
    assert (said(first), said(again)) == ("miss", "hit")
    assert again.body == first.body
    assert again.headers["content-type"] == first.headers["content-type"]
    assert int(again.headers["age"]) <= 5
    assert again.headers["x-dragoman-model"] == f"openai/{model}"
    assert again.headers["x-dragoman-replay-of"] == first.headers["x-dragoman-call-id"]
    assert asked(mock, model) == before + 1
    paid = caching.row(first.headers["x-request-id"])
    free = caching.row(again.headers["x-request-id"])
    assert float(paid["cost_usd"]) > 0
    assert (float(free["cost_usd"]), free["cost_from"]) == (0, "cache")
    assert (free["status"], free["http_status"], free["stream"]) == ("complete", 200, stream)
    assert (free["provider"], free["model"]) == ("openai", paid["model"])
    assert (free["input_tokens"], free["output_tokens"]) == (0, 0)
    assert free["call_id"] == again.headers["x-dragoman-call-id"]


def test_without_a_time_or_a_wish_there_is_no_cache(mock, gateway, caching):
    model = named()
    replies = [gateway.chat(f"openai/{model}", headers=ASKED) for _ in range(2)]
    replies += [caching.chat(f"openai/{model}") for _ in range(2)]
    assert [said(reply) for reply in replies] == [None] * 4
    assert asked(mock, model) == 4


def test_a_key_may_be_cached_unasked(mock, tmp_path):
    settings = {"ANSWER_CACHE_TTL_S": "60", "ANSWER_CACHE_KEYS": "*", **providers_at(mock.port)}
    with gateway_server(tmp_path, **settings) as server:
        replies = [server.chat() for _ in range(2)]
        assert [said(reply) for reply in replies] == ["miss", "hit"]
        assert said(server.chat(headers={"x-dragoman-cache": "false"})) == "bypass"


@pytest.mark.req("A20")
@pytest.mark.parametrize(
    "change",
    [
        {"key": "drg_other"},
        {"temperature": 0.5},
        {"text": "Good evening!"},
        {"headers": {**ASKED, "openai-beta": "new"}},
    ],
    ids=["key", "member", "text", "header"],
)
def test_another_key_or_request_is_another_answer(mock, caching, change):
    model = f"openai/{named()}"
    assert said(caching.chat(model, headers=ASKED)) == "miss"
    assert said(caching.chat(model, **{"headers": ASKED, **change})) == "miss"
    assert said(caching.chat(model, headers=ASKED)) == "hit"


def test_cache_control_is_heeded(mock, caching):
    model = named()

    def chat(control):
        return caching.chat(f"openai/{model}", headers={**ASKED, "cache-control": control})

    absent = chat("only-if-cached")
    assert (absent.status, absent.headers["x-error-code"]) == (504, "not_cached")
    assert asked(mock, model) == 0
    assert said(chat("no-store")) == "bypass"
    assert said(chat("max-age=60")) == "miss"
    assert said(chat("max-age=60, only-if-cached")) == "hit"
    assert said(chat("no-cache")) == "bypass"
    assert said(chat("")) == "hit"
    time.sleep(1.1)
    assert said(chat("max-age=0")) == "miss"
    assert asked(mock, model) == 4
    assert chat("max-age=soon").status == 400


@pytest.mark.parametrize("fault", ["status-400", "status-500", "cut-900--mock-length-400"])
def test_what_went_wrong_is_not_cached(mock, caching, fault):
    model = f"openai/{named(fault)}"
    for _ in range(2):
        assert said(caching.chat(model, headers=ASKED, stream=True)) == "miss"


def test_what_somebody_remembers_is_not_cached(mock, caching):
    def respond(**members):
        body = {"model": "openai/gpt-4o-mini", "input": "hi", **members}
        return [said(caching.ask("POST", "/v1/responses", body, ASKED)) for _ in range(2)]

    assert respond() == ["bypass", "bypass"]
    assert respond(store=False) == ["miss", "hit"]


def test_embeddings_and_counts_are_cached(caching):
    for path, body in [
        ("/v1/embeddings", {"model": "openai/text-embedding-3-small", "input": "hi"}),
        (
            "/v1/messages/count_tokens",
            {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
        ),
    ]:
        first, again = (caching.ask("POST", path, body, ASKED) for _ in range(2))
        assert (said(first), said(again)) == ("miss", "hit")
        assert first.body == again.body
        estimated = "x-dragoman-estimated"
        assert first.headers.get(estimated) == again.headers.get(estimated)


def test_an_idempotency_key_goes_past_the_cache(mock, caching):
    model = f"openai/{named()}"
    assert said(caching.chat(model, headers=ASKED)) == "miss"
    headers = {**ASKED, "idempotency-key": uuid.uuid4().hex}
    assert [said(caching.chat(model, headers=headers)) for _ in range(2)] == ["bypass"] * 2


def test_workers_share_a_cache_in_redis(mock, tmp_path):
    settings = {
        "ANSWER_CACHE_TTL_S": "5",
        "REDIS_URL": redis_url(),
        **providers_at(mock.port),
    }
    with gateway_server(tmp_path, "--workers", "2", **settings) as server:
        model = f"openai/{named()}"
        replies = [server.chat(model, headers=ASKED, stream=True) for _ in range(12)]
        assert [said(reply) for reply in replies] == ["miss"] + ["hit"] * 11
        assert len({reply.body for reply in replies}) == 1
        assert asked(mock, model.removeprefix("openai/")) == 1


def redis_url():
    """The Redis of the tests; without one they are skipped, and fail under CI."""
    url = os.environ.get("DRAGOMAN_TEST_REDIS") or "redis://127.0.0.1:6379/0"
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 6379), 2).close()
    except OSError as error:
        lacking(f"There is no Redis for the tests: {error}")
    return url


def test_a_redis_that_is_away_costs_no_answer(mock, tmp_path):
    settings = {
        "ANSWER_CACHE_TTL_S": "5",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        **providers_at(mock.port),
    }
    with gateway_server(tmp_path, **settings) as server:
        for _ in range(3):
            reply = server.chat(headers=ASKED)
            assert (reply.status, said(reply)) == (200, "miss")
