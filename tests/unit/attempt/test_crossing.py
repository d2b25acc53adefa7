"""Embeddings between two families: split for the provider, joined for the caller."""

import asyncio
import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from msgspec.structs import replace as changed

from dragoman.attempt.attempt import attempt
from dragoman.attempt.estimate import estimate, has_counter
from dragoman.attempt.policy import LARGE, Policy
from dragoman.core.ask import read_ask
from dragoman.core.call import STALE
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate, Plan, Provider
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage
from dragoman.dialects import registry
from dragoman.dialects.base import Counter, Embedder, Outgoing, Written
from scripted import Tab, call_of, candidate, means_of

FAMILY = "completions"
"""Has no embeddings of its own: here it is a family of the test."""


def _read(body):
    said = json.loads(body)
    return EmbeddingRequest(said.get("model", ""), tuple(said["texts"]))


def _write(request, target):
    lost = (Loss("user", "nobody asks"),) if request.end_user else ()
    body = json.dumps({"model": target.model, "texts": request.inputs}).encode()
    return Outgoing(body, lost)


def _read_reply(body, target):
    said = json.loads(body)
    usage = None if said.get("tokens") is None else Usage(input=said["tokens"])
    return Embeddings(target.model, tuple(map(tuple, said["vectors"])), usage)


def _write_reply(found, request, context):
    return Written(json.dumps({"vectors": found.vectors, "of": len(request.inputs)}).encode())


@pytest.fixture(autouse=True)
def family(monkeypatch):
    embedder = Embedder(_read, _write, _read_reply, _write_reply, most=3)
    monkeypatch.setitem(registry.EMBEDDERS, FAMILY, embedder)
    monkeypatch.setitem(registry.DIALECTS, FAMILY, registry.DIALECTS["chat"])


class Embedding:
    """A provider that embeds each text as its own number, in as many requests as come."""

    def __init__(self, *, fail_at=None, short=False, silent_at=None, padding=0, status=400):
        self.asked = []
        self.closed = 0
        self.fail_at, self.short, self.silent_at = fail_at, short, silent_at
        self.status = status
        self.padding = b" " * padding

    async def send(self, request, again=None):
        number = len(self.asked)
        self.asked.append(request)
        texts = json.loads(request.body)["texts"]
        vectors = [[float(text)] for text in texts][: -1 if self.short else None]
        tokens = None if number == self.silent_at else len(texts)
        body = json.dumps({"vectors": vectors, "tokens": tokens}).encode() + self.padding
        return SimpleNamespace(
            status=self.status if number == self.fail_at else 200,
            headers={},
            read=lambda limit: _later(body),
            close=self.close,
        )

    async def close(self):
        self.closed += 1


async def _later(body):
    await asyncio.sleep(0)
    return body


def embedded(transport, texts, *, policy=None, others=(), call=None, **members):
    provider = Provider("p", FAMILY, "http://p.test", {"embeddings": "/embed"})
    call = call or call_of()
    call.operation = "embeddings"
    ask = read_ask(json.dumps({"model": "p/m", "input": texts, **members}).encode())
    plan = Plan("p/m", (Candidate(provider, "m"), *others))
    means = means_of(transport, policy or Policy(max_retries=0))
    answer = asyncio.run(attempt(plan, ask, call, Tab(), means))
    return call, json.loads(answer.head.body)


@pytest.mark.pitfall(202)
def test_more_inputs_than_a_request_may_hold_go_in_several_and_come_back_in_order():
    transport = Embedding()
    texts = [str(number) for number in range(8)]
    call, said = embedded(transport, texts)
    assert [json.loads(one.body)["texts"] for one in transport.asked] == [
        texts[:3],
        texts[3:6],
        texts[6:],
    ]
    assert transport.closed == 3
    assert [item["embedding"] for item in said["data"]] == [[float(n)] for n in range(8)]
    assert [item["index"] for item in said["data"]] == list(range(8))
    assert said["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    (tried,) = call.outcome.attempts
    assert tried.usage == Usage(input=8)
    assert call.outcome.status == "complete"


def test_a_retry_asks_for_what_is_missing_alone_and_each_try_says_what_it_cost():
    transport = Embedding(fail_at=1, status=503)
    texts = [str(number) for number in range(8)]
    call, said = embedded(transport, texts, policy=Policy(max_retries=1))
    assert [json.loads(one.body)["texts"] for one in transport.asked] == [
        texts[:3],
        texts[3:6],
        texts[3:6],
        texts[6:],
    ]
    assert transport.closed == 4
    assert [item["embedding"] for item in said["data"]] == [[float(n)] for n in range(8)]
    assert said["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert [tried.usage for tried in call.outcome.attempts] == [Usage(input=3), Usage(input=5)]
    assert [tried.status for tried in call.outcome.attempts] == ["upstream_error", "complete"]


def test_a_retry_of_the_first_part_begins_anew():
    transport = Embedding(fail_at=0, status=503)
    call, said = embedded(transport, ["1", "2", "3", "4"], policy=Policy(max_retries=1))
    assert [len(json.loads(one.body)["texts"]) for one in transport.asked] == [3, 3, 1]
    assert [tried.usage for tried in call.outcome.attempts] == [None, Usage(input=4)]
    assert said["usage"]["prompt_tokens"] == 4


def test_vectors_of_two_providers_are_never_joined():
    transport = Embedding(fail_at=1, status=503)
    other = Candidate(Provider("q", FAMILY, "http://q.test", {"embeddings": "/embed"}), "n")
    call, said = embedded(transport, ["1", "2", "3", "4"], others=(other,))
    asked = [(one.url, len(json.loads(one.body)["texts"])) for one in transport.asked]
    here, there = "http://p.test/embed", "http://q.test/embed"
    assert asked == [(here, 3), (here, 1), (there, 3), (there, 1)]
    assert [tried.usage for tried in call.outcome.attempts] == [Usage(input=3), Usage(input=4)]
    assert len(said["data"]) == 4


@pytest.mark.parametrize(("padding", "main"), [(0, True), (LARGE, False)])
def test_many_numbers_are_read_and_written_in_a_thread(monkeypatch, padding, main):
    seen = []
    real = registry.EMBEDDERS[FAMILY]

    def read(body, target):
        seen.append(threading.current_thread() is threading.main_thread())
        return real.read_response(body, target)

    monkeypatch.setitem(registry.EMBEDDERS, FAMILY, replace(real, read_response=read))
    _, said = embedded(Embedding(padding=padding), ["1", "2", "3", "4"])
    assert seen == [main, main]
    assert len(said["data"]) == 4


def test_a_split_request_loses_a_thing_once():
    call, _ = embedded(Embedding(), [str(number) for number in range(8)], user="u")
    assert [loss.path for loss in call.outcome.losses] == ["user"]


def test_a_sum_of_which_a_part_is_unknown_is_unknown():
    call, said = embedded(Embedding(silent_at=1), [str(number) for number in range(8)])
    assert call.outcome.attempts[0].usage is None
    assert said["usage"]["prompt_tokens"] == 0


def test_what_the_first_requests_consumed_is_kept_though_a_later_one_fails():
    transport = Embedding(fail_at=2)
    provider = Provider("p", FAMILY, "http://p.test", {"embeddings": "/embed"})
    call = call_of()
    call.operation = "embeddings"
    ask = read_ask(json.dumps({"model": "p/m", "input": [str(n) for n in range(8)]}).encode())
    means = means_of(transport, Policy(max_retries=0))
    with pytest.raises(UpstreamError) as failure:
        asyncio.run(attempt(Plan("p/m", (Candidate(provider, "m"),)), ask, call, Tab(), means))
    assert failure.value.status == 400
    assert call.outcome.attempts[0].usage == Usage(input=6)
    assert call.outcome.attempts[0].status == "upstream_error"


class Losing(Embedding):
    """At one of the requests the connection is gone: the provider may have answered it."""

    def __init__(self, *, lost_at, stale=False, sent="maybe"):
        super().__init__()
        self.lost_at, self.stale, self.sent = lost_at, stale, sent

    async def send(self, request, again=None):
        if len(self.asked) != self.lost_at:
            return await super().send(request, again)
        self.asked.append(request)
        repeated = await again(request) if self.stale else None
        if repeated is None:
            raise UpstreamError("upstream", "gone", sent=self.sent, code="connection_reset")
        return await super().send(repeated, again)


@pytest.mark.parametrize(("sent", "usage"), [("maybe", None), ("no", Usage(input=3))])
def test_of_a_request_that_was_lost_nobody_knows_what_all_came_to(sent, usage):
    provider = Provider("p", FAMILY, "http://p.test", {"embeddings": "/embed"})
    call = call_of()
    call.operation = "embeddings"
    ask = read_ask(json.dumps({"model": "p/m", "input": [str(n) for n in range(8)]}).encode())
    means = means_of(Losing(lost_at=1, sent=sent), Policy(max_retries=0))
    with pytest.raises(UpstreamError):
        asyncio.run(attempt(Plan("p/m", (Candidate(provider, "m"),)), ask, call, Tab(), means))
    (tried,) = call.outcome.attempts
    assert (tried.usage, tried.may_cost) == (usage, sent == "maybe")


@pytest.mark.req("U15")
def test_a_later_request_over_a_stale_connection_is_an_attempt_that_has_it_all():
    transport = Losing(lost_at=1, stale=True)
    call, said = embedded(transport, [str(number) for number in range(8)])
    sizes = [len(json.loads(one.body)["texts"]) for one in transport.asked]
    assert sizes == [3, 3, 3, 2]
    assert said["usage"]["prompt_tokens"] == 8
    stale, served = call.outcome.attempts
    assert (stale.error_code, stale.usage, stale.may_cost) == (STALE, None, True)
    assert (served.status, served.usage) == ("complete", Usage(input=8))


def test_a_vector_too_few_is_the_providers_failure():
    with pytest.raises(UpstreamError, match="1 vectors for 2 inputs"):
        embedded(Embedding(short=True), ["1", "2"])


def test_a_family_without_embeddings_is_refused_by_name():
    call = call_of("anthropic")
    call.operation = "embeddings"
    provider = Provider("p", FAMILY, "http://p.test", {"embeddings": "/embed"})
    ask = read_ask(b'{"model":"p/m","input":"x"}')
    with pytest.raises(CallerError, match="p has no embeddings of this kind"):
        asyncio.run(
            attempt(Plan("p/m", (Candidate(provider, "m"),)), ask, call, Tab(), means_of(None))
        )


# --------------------------------------------------------------------------- counts


class Counting:
    """A provider whose counter says 17."""

    def __init__(self):
        self.asked = []

    async def send(self, request, again=None):
        self.asked.append(request)
        return SimpleNamespace(
            status=200,
            headers={},
            read=lambda limit: _later(b'{"input_tokens":17}'),
            close=_nothing,
        )


async def _nothing():
    """Nothing is open."""


def counting():
    """Anthropic as it is, with a counter."""
    spoken = candidate(family="anthropic")
    paths = {**spoken.provider.paths, "count_tokens": "/v1/messages/count_tokens"}
    return changed(spoken, provider=changed(spoken.provider, paths=paths))


@pytest.fixture
def counter(monkeypatch):
    """A family that asks for counts and has no provider with a counter."""
    chat = registry.DIALECTS["chat"]
    found = Counter(
        chat.read_request,
        None,
        lambda body: json.loads(body)["n"],
        lambda number: json.dumps({"n": number}).encode(),
    )
    monkeypatch.setitem(registry.COUNTERS, FAMILY, found)


@pytest.mark.usefixtures("counter")
def test_a_count_is_asked_of_a_provider_of_another_family():
    transport = Counting()
    call = call_of(FAMILY)
    call.operation = "count_tokens"
    ask = read_ask(b'{"model":"p/m","messages":[{"role":"user","content":"hi"}],"seed":1}')
    assert has_counter(counting())
    answer = asyncio.run(
        attempt(Plan("p/m", (counting(),)), ask, call, Tab(), means_of(transport))
    )
    assert json.loads(answer.head.body) == {"n": 17}
    assert transport.asked[0].url == "http://p.test/v1/messages/count_tokens"
    assert json.loads(transport.asked[0].body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert call.outcome.attempts[0].usage is None


@pytest.mark.usefixtures("counter")
def test_an_estimate_is_told_in_the_callers_dialect():
    paths = {"count_tokens": "/count"}
    nobody = Candidate(Provider("p", FAMILY, "http://p.test", paths), "m")
    assert not has_counter(nobody)
    ask = read_ask(b'{"model":"p/m","messages":[{"role":"user","content":"hi"}]}')
    head = asyncio.run(estimate(ask, nobody, FAMILY))
    assert json.loads(head.body)["n"] > 0


def test_a_family_without_a_counter_of_its_own_is_counted_for_all_the_same():
    transport = Counting()
    call = call_of(FAMILY)
    call.operation = "count_tokens"
    ask = read_ask(b'{"model":"p/m","messages":[{"role":"user","content":"hi"}]}')
    answer = asyncio.run(
        attempt(Plan("p/m", (counting(),)), ask, call, Tab(), means_of(transport))
    )
    assert json.loads(answer.head.body) == {"object": "response.input_tokens", "input_tokens": 17}
    nobody = Candidate(Provider("p", "chat", "http://p.test", {"chat": "/chat"}), "m")
    head = asyncio.run(estimate(ask, nobody, FAMILY))
    assert json.loads(head.body)["input_tokens"] > 0


def test_one_call_does_not_become_thousands():
    transport = Embedding()
    with pytest.raises(CallerError) as error:
        embedded(transport, ["1"] * 2049)
    assert (error.value.status, error.value.param) == (400, "input")
    assert transport.asked == []
