"""Bytes in the place of addresses: where, once for all candidates, and never within one family."""

import asyncio
import json
import threading

import pytest

from dragoman.attempt import embody
from dragoman.attempt.embody import addresses_in, embodied_for, with_bytes
from dragoman.attempt.estimate import PER_MEDIUM, estimate
from dragoman.attempt.policy import LARGE, Policy
from dragoman.attempt.ports import Fetched
from dragoman.core.ask import read_ask
from dragoman.core.call import Caller
from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import (
    FileRef,
    Inline,
    Media,
    Message,
    PartsDoc,
    SearchResult,
    Text,
    ToolResult,
    Url,
)
from dragoman.core.provider import Candidate, Provider
from dragoman.core.request import Request
from dragoman.dialects.base import Embodied
from dragoman.dialects.registry import DIALECTS
from scripted import Scripted, answered, call_of, candidate, means_of

pytestmark = pytest.mark.req("R-IMG-001")

RULES = Embodied(frozenset({"image"}), but=("https://kept.example/",))
ALL = Embodied(frozenset({"image", "document", "audio", "video"}))
URL = "https://a.example/a.png"
OTHER = "https://a.example/b.png"
PATHS = {"ollama": "/api/chat", "gemini": "/m:g", "anthropic": "/v1/messages", "chat": "/c"}
REPLY = {
    "ollama": b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":true}',
    "chat": b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
    b'"finish_reason":"stop"}]}',
}


class Fetcher:
    """Knows every address, and remembers for which it was asked."""

    def __init__(self, error=None, pause_s=0.0):
        self.asked = []
        self.told = []
        self.tenants = []
        self.left = False
        self._error = error
        self._pause_s = pause_s

    async def fetch(self, wanted, *, tenant="", referer=None, authorization=None):
        self.asked.append([each.url for each in wanted])
        self.told.append((referer, authorization))
        self.tenants.append(tenant)
        try:
            await asyncio.sleep(self._pause_s)
        except asyncio.CancelledError:
            self.left = True
            raise
        if self._error is not None:
            raise self._error
        return {each.url: Fetched(each.kind, "image/png", "QUJD") for each in wanted}


def at(family, name="p"):
    provider = Provider(
        name=name,
        family=family,
        base_url=f"http://{name}.test",
        paths={"chat": PATHS[family]},
    )
    return Candidate(provider, "m")


def body_of(*urls, stream=False, **more):
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    words = [{"type": "text", "text": "What is this?"}]
    messages = [{"role": "user", "content": words + parts}]
    said = {"model": "p/m", "stream": stream, "messages": messages, **more}
    return json.dumps(said).encode()


def house(fetcher, family="ollama", **more):
    transport = Scripted([(0, REPLY[family])], **more)
    transport.headers = {"content-type": "application/json"}
    means = means_of(transport, Policy(max_retries=0) if more else None)
    means.fetcher = fetcher
    return transport, means


def answer(means, candidates, *urls, call=None, **more):
    return asyncio.run(
        answered(means, call, stream=False, body=body_of(*urls, **more), candidates=candidates)
    )


# --- where


def picture(url=URL, kind="image"):
    return Media(kind, Url(url))


def request_of(*parts, system=()):
    return Request("m", messages=(Message("user", parts),), system=system)


@pytest.mark.parametrize(
    ("parts", "places"),
    [
        ((Text("x"), picture()), ["messages[0].content[1]"]),
        ((picture(), picture(OTHER)), ["messages[0].content[0]", "messages[0].content[1]"]),
        ((ToolResult("c", (picture(),)),), ["messages[0].content[0].content[0]"]),
        ((SearchResult("t", "s", (picture(),)),), ["messages[0].content[0].content[0]"]),
        (
            (Media("document", PartsDoc((Text("x"), picture()))),),
            ["messages[0].content[0].source.content[1]"],
        ),
        ((picture(kind="document"),), []),
        ((picture("https://kept.example/x"),), []),
        ((picture("gs://bucket/x"),), ["messages[0].content[0]"]),
        ((Media("image", Inline("QQ==", "image/png")),), []),
        ((Media("image", FileRef("f", "chat")),), []),
        ((Text("x"),), []),
    ],
)
def test_addresses_are_found_wherever_media_may_stand(parts, places):
    request = request_of(*parts)
    wanted = addresses_in(request, RULES)
    assert [each.at for each in wanted] == places
    found = {each.url: Fetched("image", "image/png", "QUJD") for each in wanted}
    given = with_bytes(request, RULES, found)
    assert addresses_in(given.request, RULES) == ()
    assert [(loss.path, loss.action) for loss in given.losses] == [
        (place, "emulated") for place in places
    ]
    assert given.size == 4 * len(places)
    if not places:
        assert given.request == request


def test_a_system_prompt_may_hold_one_too():
    wanted = addresses_in(request_of(Text("x"), system=(picture(),)), RULES)
    assert [each.at for each in wanted] == ["system[0]"]


def test_what_is_fetched_decides_the_kind():
    found = {URL: Fetched("document", "application/pdf", "QUJD")}
    given = with_bytes(request_of(picture()), ALL, found)
    (part,) = given.request.messages[0].parts
    assert (part.kind, part.source) == ("document", Inline("QUJD", "application/pdf"))


def test_everything_else_of_a_medium_stays():
    part = Media("image", Url(URL), detail="high", title="t", filename="f")
    given = with_bytes(request_of(part), ALL, {URL: Fetched("image", "image/png", "QUJD")})
    (filled,) = given.request.messages[0].parts
    assert (filled.detail, filled.title, filled.filename) == ("high", "t", "f")


@pytest.mark.pitfall(79)
def test_families_that_take_bytes_alone_say_so():
    embodied = {family: each.embodied for family, each in DIALECTS.items()}
    assert {family for family, rules in embodied.items() if rules} == {
        "gemini",
        "ollama",
        "generate",
    }
    assert "image" in embodied["ollama"].kinds
    assert embodied["gemini"].kinds == {"image", "document", "audio", "video"}
    films = "https://www.youtube.com/watch?v=x", "https://youtu.be/x", "gs://bucket/x.mp4"
    assert all(film.startswith(embodied["gemini"].but) for film in films)
    assert not "https://youtu.be.evil.example/".startswith(embodied["gemini"].but)


def test_within_one_family_nothing_is_looked_for():
    assert embodied_for(call_of("gemini"), at("gemini")) is None
    assert embodied_for(call_of("chat"), at("chat")) is None
    assert embodied_for(call_of("chat"), at("ollama")) is not None


# --- when


@pytest.mark.pitfall(79)
def test_a_provider_that_takes_bytes_gets_them():
    fetcher = Fetcher()
    transport, means = house(fetcher)
    call = call_of()
    answer(means, [at("ollama")], URL, OTHER, URL, call=call)
    assert fetcher.asked == [[URL, OTHER, URL]]
    (sent,) = transport.asked
    assert json.loads(sent.body)["messages"][0]["images"] == ["QUJD"] * 3
    assert [loss.path for loss in call.outcome.losses] == [
        f"messages[0].content[{number}]" for number in (1, 2, 3)
    ]


def test_a_provider_that_takes_addresses_gets_those():
    fetcher = Fetcher()
    transport, means = house(fetcher, "chat")
    answer(means, [candidate()], URL)
    assert fetcher.asked == []
    assert URL.encode() in transport.asked[0].body


def test_a_request_without_addresses_asks_nobody():
    fetcher = Fetcher()
    _, means = house(fetcher)
    answer(means, [at("ollama")], "data:image/png;base64,QUJD")
    assert fetcher.asked == []


def test_without_a_fetcher_the_provider_is_not_asked():
    transport, means = house(None)
    with pytest.raises(CallerError, match="address"):
        answer(means, [at("ollama")], URL)
    assert transport.asked == []


@pytest.mark.req("R-IMG-005")
def test_what_cannot_be_fetched_is_told_before_any_provider_is_asked():
    fetcher = Fetcher(invalid("no", "messages[0].content[1]", "image_fetch_blocked"))
    transport, means = house(fetcher)
    with pytest.raises(CallerError) as caught:
        answer(means, [at("ollama")], URL)
    assert caught.value.code == "image_fetch_blocked"
    assert transport.asked == []


def test_a_failure_is_asked_for_once_and_other_families_still_have_their_turn():
    fetcher = Fetcher(invalid("no", "messages[0].content[1]", "image_fetch_blocked"))
    transport, means = house(fetcher, "chat")
    answer(means, [at("ollama", "a"), at("gemini", "b"), at("chat", "c")], URL)
    assert len(fetcher.asked) == 1
    (sent,) = transport.asked
    assert sent.url.startswith("http://c.test")


def test_candidates_share_what_was_fetched():
    fetcher = Fetcher()
    transport, means = house(fetcher, status=503)
    with pytest.raises(Exception, match=r".+"):
        answer(means, [at("ollama", "a"), at("ollama", "b"), at("gemini", "c")], URL)
    assert len(transport.asked) == 3
    assert fetcher.asked == [[URL]]


def test_the_only_candidate_is_tried_again_with_what_was_fetched():
    fetcher = Fetcher()
    transport, means = house(fetcher, status=503)
    means.policy = Policy(max_retries=2, backoff_s=0.0)
    with pytest.raises(Exception, match=r".+"):
        answer(means, [at("ollama")], URL)
    assert len(transport.asked) == 3
    assert fetcher.asked == [[URL]]


def test_a_caller_who_leaves_ends_the_fetch():
    fetcher = Fetcher(pause_s=60)
    transport, means = house(fetcher)

    async def leave():
        task = asyncio.create_task(
            answered(means, None, stream=False, body=body_of(URL), candidates=[at("ollama")])
        )
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    assert fetcher.left
    assert transport.asked == []


@pytest.mark.req("R-IMG-005")
def test_fetching_takes_of_the_time_of_the_request_and_no_more():
    fetcher = Fetcher(pause_s=60)
    transport, means = house(fetcher)
    means.policy = Policy(first_event_s=0.1)
    with pytest.raises(CallerError) as caught:
        answer(means, [at("ollama")], URL)
    assert caught.value.code == "image_fetch_timeout"
    assert fetcher.left
    assert transport.asked == []


@pytest.mark.req("R-IMG-003")
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, (None, None)),
        ({"x-image-fetch-referer": "a", "x-image-referer": "b"}, ("a", None)),
        ({"x-image-referer": "b", "authorization": "Bearer x"}, ("b", "Bearer x")),
    ],
)
def test_the_callers_headers_are_handed_to_the_fetcher(headers, told):
    fetcher = Fetcher()
    _, means = house(fetcher)
    call = call_of()
    call.headers = headers
    answer(means, [at("ollama")], URL, call=call)
    assert fetcher.told == [told]


def test_large_media_are_written_beside_the_loop():
    fetcher = Fetcher()
    transport, means = house(fetcher)
    answer(means, [at("ollama")], URL, user="x" * (LARGE + 1))
    assert json.loads(transport.asked[0].body)["messages"][0]["images"] == ["QUJD"]


def test_one_picture_named_often_counts_at_every_place(monkeypatch):
    monkeypatch.setattr("dragoman.attempt.embody.MOST_FILLED", 1000)
    found = {URL: Fetched("image", "image/png", "x" * 400)}
    assert with_bytes(request_of(picture(), picture()), RULES, found).size == 800
    with pytest.raises(CallerError) as error:
        with_bytes(request_of(*[picture()] * 3), RULES, found)
    assert (error.value.code, error.value.param) == (
        "image_fetch_too_large",
        "messages[0].content[2]",
    )


def test_the_fetcher_is_told_for_which_tenant_it_fetches():
    fetcher = Fetcher()
    _, means = house(fetcher)
    call = call_of("chat")
    call.caller = Caller("k", "acme")
    asyncio.run(answered(means, call, stream=False, body=body_of(URL), candidates=[at("ollama")]))
    assert fetcher.tenants == ["acme"]


@pytest.mark.parametrize("kind", ["image_url", "file"])
@pytest.mark.parametrize("size", [10, LARGE])
def test_an_estimate_fetches_nothing_and_counts_a_flat_figure_for_each_address(kind, size):
    words = [{"type": "text", "text": "x" * size}]
    part = {
        "image_url": {"type": "image_url", "image_url": {"url": URL}},
        "file": {"type": "file", "file": {"file_data": "https://a.example/a.txt"}},
    }[kind]

    def counted(*parts):
        said = {"model": "p/m", "messages": [{"role": "user", "content": [*words, *parts]}]}
        ask = read_ask(json.dumps(said).encode())
        head = asyncio.run(estimate(ask, at("ollama"), "chat"))
        return json.loads(head.body)["input_tokens"]

    for_two = counted(part, part) - counted()
    assert 2 * PER_MEDIUM <= for_two < 2 * PER_MEDIUM + 30


@pytest.mark.parametrize("large", [True, False])
def test_only_a_large_request_is_walked_in_a_thread(monkeypatch, large):
    threads = []
    for name in ("addresses_in", "with_bytes"):
        real = getattr(embody, name)

        def step(*args, real=real):
            threads.append(threading.current_thread() is threading.main_thread())
            return real(*args)

        monkeypatch.setattr(embody, name, step)
    _, means = house(Fetcher())
    answer(means, [at("ollama")], URL, user="u" * (LARGE if large else 1))
    assert threads == [not large, not large]
