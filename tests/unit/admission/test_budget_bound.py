"""What a request can cost at most: no usage that a provider may bill for it costs more."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.admission.budget_bound import (
    A_PICTURE,
    LEAST_OUTPUT,
    OVERHEAD,
    SEARCHES,
    UNKNOWN_OUTPUT,
    WIDEST,
    WITH_TOOLS,
    Size,
    bound_of,
    known_usage,
    output_for,
    plain_size,
    size_of,
)
from dragoman.catalog.price import cost_of
from dragoman.catalog.registry import STUB
from dragoman.core import money
from dragoman.core.ask import read_ask
from dragoman.core.capability import Capability
from dragoman.core.provider import Candidate, Price, Provider
from dragoman.core.usage import Usage
from dragoman.routing.needs import needs_of, tokens_asked, tokens_of_text

PRICE = Price(input=Decimal(2), output=Decimal(10))


def candidate(family="chat", **facts) -> Candidate:
    provider = Provider("p", family, "http://p.test", {"chat": "/"})
    return Candidate(provider, "m", capability=Capability(**facts))


def sized(body: dict, dialect="chat", operation="chat") -> Size:
    ask = read_ask(msgspec.json.encode({"model": "p/m", **body}))
    return size_of(ask, needs_of(ask, dialect, operation), dialect)


HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}


def test_text_has_no_more_tokens_than_bytes():
    size = sized(HELLO)
    body = msgspec.json.encode({"model": "p/m", **HELLO})
    assert size.input == len(body) + OVERHEAD
    with_tools = {**HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}
    body = msgspec.json.encode({"model": "p/m", **with_tools})
    assert sized(with_tools).input == len(body) + WITH_TOOLS


@pytest.mark.req("D27")
def test_an_answer_is_bounded_by_the_request_else_by_the_model_else_by_a_number():
    bounded = sized({**HELLO, "max_tokens": 50})
    assert bounded.output_at(candidate()) == 50
    assert sized({**HELLO, "max_tokens": 1}).output_at(candidate()) == LEAST_OUTPUT
    # Which of the two counts is the provider's to say.
    both = sized({**HELLO, "max_tokens": 900, "max_completion_tokens": 50})
    assert both.output_at(candidate()) == 900
    assert sized(HELLO).output_at(candidate(max_output_tokens=4096)) == 4096
    assert sized(HELLO).output_at(candidate()) == UNKNOWN_OUTPUT
    embedding = sized({"input": "x"}, operation="embeddings")
    assert embedding.output_at(candidate()) == 0


def test_thinking_that_a_translation_puts_on_top_is_bounded_by_the_model():
    size = sized({**HELLO, "max_tokens": 50, "reasoning_effort": "high"})
    assert size.output_at(candidate(max_output_tokens=64_000)) == 50
    assert size.output_at(candidate("anthropic", max_output_tokens=64_000)) == 64_000


@pytest.mark.parametrize(
    ("dialect", "body", "copies"),
    [
        ("chat", {**HELLO, "n": 3}, 3),
        ("chat", {**HELLO, "n": "3"}, 1),
        ("gemini", {"contents": [], "generationConfig": {"candidateCount": 4}}, 4),
        ("completions", {"prompt": ["a", "b"], "n": 2, "best_of": 5}, 10),
        ("completions", {"prompt": [1, 2, 3]}, 1),
        ("completions", {"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_every_answer_that_is_asked_for_counts(dialect, body, copies):
    assert sized(body, dialect).copies == copies


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("responses", {"input": "x", "previous_response_id": "resp_1"}),
        ("responses", {"input": "x", "prompt": {"id": "pmpt_1"}}),
        ("responses", {"input": "x", "tools": [{"type": "web_search"}]}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
        ("anthropic", {**HELLO, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("gemini", {"contents": [], "tools": [{"googleSearch": {}}]}),
        ("gemini", {"contents": [], "cachedContent": "cachedContents/1"}),
        ("chat", {**HELLO, "web_search_options": {}}),
    ],
)
def test_what_is_not_in_the_request_may_fill_the_window(dialect, body):
    size = sized(body, dialect)
    assert size.input is None
    assert size.input_at(candidate(context_tokens=200_000)) == 200_000
    assert size.input_at(candidate()) == WIDEST


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("completions", {"prompt": "x"}),
        ("anthropic", {**HELLO, "tools": [{"name": "f", "input_schema": {}}]}),
        ("anthropic", {**HELLO, "tools": [{"type": "bash_20250124", "name": "bash"}]}),
        ("gemini", {"contents": [], "tools": [{"functionDeclarations": []}]}),
        ("chat", {**HELLO, "tools": "nonsense"}),
    ],
)
def test_what_the_caller_runs_itself_is_in_the_request(dialect, body):
    assert sized(body, dialect).input is not None


def test_pictures_and_sounds_have_figures_of_their_own():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 500, "format": "wav"}}
    body = {"messages": [{"role": "user", "content": [picture, sound]}]}
    size = sized(body)
    assert size.audio
    assert size.input is not None
    assert A_PICTURE + 500 < size.input < A_PICTURE + 1000
    assert size.input_at(candidate(context_tokens=9000)) == 9000


def test_the_dearest_price_that_may_apply_is_taken():
    size = Size(input=1000, output=100)
    assert bound_of(size, candidate(), PRICE) == (1000 * 2 + 100 * 10) * 10**6
    long = Price(input=Decimal(4), output=Decimal(15))
    tiers = msgspec.structs.replace(PRICE, above=((200, long), (5000, Price(input=Decimal(9)))))
    assert bound_of(size, candidate(), tiers) == (1000 * 4 + 100 * 15) * 10**6
    cached = msgspec.structs.replace(PRICE, cache_write_1h=Decimal(8))
    assert bound_of(size, candidate(), cached) == (1000 * 2 + 100 * 10) * 10**6
    writes = msgspec.structs.replace(size, caches=True)
    assert bound_of(writes, candidate(), cached) == (1000 * 8 + 100 * 10) * 10**6
    speaks = msgspec.structs.replace(size, speaks=True, copies=2)
    loud = msgspec.structs.replace(PRICE, audio_output=Decimal(80))
    assert bound_of(speaks, candidate(), loud) == (1000 * 2 + 200 * 80) * 10**6
    request = msgspec.structs.replace(
        PRICE, per_request=Decimal("0.01"), per_search=Decimal("0.02")
    )
    searches = msgspec.structs.replace(size, searches=SEARCHES)
    assert bound_of(searches, candidate(), request) == 3000 * 10**6 + 21 * 10**10


@pytest.mark.req("M13")
def test_where_no_price_is_known_there_is_no_bound():
    size = Size(input=1000, output=100)
    assert bound_of(size, candidate(), None) is None
    assert bound_of(size, candidate(), Price(input=Decimal(1))) is None
    assert bound_of(Size(input=9, output=0), candidate(), Price(input=Decimal(1))) == 9 * 10**6
    assert bound_of(size, Candidate(STUB, "m"), None) == 0


counts = st.integers(0, 300_000)
rates = st.decimals(0, 200, places=4)


@pytest.mark.req("M3", "M9")
@given(counts, counts, counts, counts, st.lists(rates, min_size=5, max_size=5), counts, rates)
def test_no_usage_within_the_bounds_costs_more_than_was_set_aside(
    tokens, written, cached, kept, prices, start, dearer
):
    price = Price(*prices)
    price = msgspec.structs.replace(
        price, above=((start, msgspec.structs.replace(price, input=dearer)),)
    )
    cached = min(cached, tokens)
    kept = min(kept, tokens - cached)
    usage = Usage(input=tokens, output=written, cache_read=cached, cache_write=kept)
    size = Size(input=tokens, output=max(written, 1), caches=True)
    bound, cost = bound_of(size, candidate(), price), cost_of(usage, price)
    assert bound is not None
    assert cost is not None
    assert money.to_pico(cost) <= bound


@given(st.integers(0, 10**10), st.integers(0, 5000), st.integers(1, 3))
def test_an_answer_that_is_shortened_is_paid_for_and_no_shorter_than_it_must_be(
    left, tokens, copies
):
    size = Size(input=tokens, output=None, copies=copies)
    fits = output_for(left, size, candidate(), PRICE)
    assert fits >= 0
    shorter = msgspec.structs.replace(size, output=max(fits, LEAST_OUTPUT))
    longer = msgspec.structs.replace(size, output=max(fits, LEAST_OUTPUT) + 1)
    if fits >= LEAST_OUTPUT:
        assert (bound_of(shorter, candidate(), PRICE) or 0) <= left
    assert (bound_of(longer, candidate(), PRICE) or 0) > left


def test_an_answer_that_costs_nothing_is_as_long_as_the_model_allows():
    free = Price(input=Decimal(1), output=Decimal(0))
    assert output_for(10**9, Size(input=1, output=None), candidate(), free) == UNKNOWN_OUTPUT


def test_what_is_told_before_the_end_bounds_what_it_has_cost():
    size = Size(input=1000, output=100, copies=2)
    told = known_usage(Usage(input=7, cache_read=3), size, candidate())
    assert (told.input, told.cache_read, told.output) == (7, 3, 200)
    whole = Usage(input=7, output=3)
    assert known_usage(whole, size, candidate()) is whole
    nothing = Usage()
    assert known_usage(nothing, size, candidate()) is nothing


texts = st.text(max_size=40)
bodies = st.fixed_dictionaries(
    {"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": texts}))},
    optional={
        "max_tokens": st.one_of(st.integers(-1, 999), st.none(), texts),
        "max_completion_tokens": st.integers(-1, 999),
        "n": st.integers(1, 3),
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "reasoning_effort": st.sampled_from(["none", "high"]),
        "temperature": st.floats(0, 1),
        "prompt_cache_key": texts,
    },
)


@given(bodies, st.sampled_from(["chat", "anthropic"]))
def test_the_short_way_to_a_size_leads_where_the_long_way_does(body, dialect):
    ask = read_ask(msgspec.json.encode({"model": "m", **body}))
    short = plain_size(ask, dialect)
    if short is not None:
        assert short.text in {0, short.input}
        assert msgspec.structs.replace(short, text=0) == size_of(
            ask, needs_of(ask, dialect, "chat"), dialect
        )
        tokens = tokens_of_text(len(ask.body), short.output)
        assert tokens == tokens_asked(ask, dialect, "chat")


def test_what_is_more_than_text_has_to_be_looked_into():
    def short(body: bytes, dialect="chat"):
        return plain_size(read_ask(body), dialect)

    head = b'{"model":"m","messages":[{"role":"user","content":'
    assert short(head + b'"an image of a file"}]}') is not None
    assert short(head + b'[{"type":"image_url","image_url":{"url":"http://x"}}]}]}') is None
    assert short(head + b'[{"type":"\\u0069mage_url"}]}]}') is None
    assert short(head + b'"x"}],"tools":[]}') is None
    assert short(head + b'"x"}]}', "gemini") is None
