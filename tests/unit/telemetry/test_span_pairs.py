"""The spans of calls with one try that went well say what those of any call say, whatever each has of its own."""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dragoman.core.call import Attempt, Caller, Origin
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.telemetry.otlp import request, resource, scope
from dragoman.telemetry.span_pairs import Pairs
from dragoman.telemetry.spans import spans_of
from scripted import call_of

HEAD = resource({"service.name": "x"}), scope("dragoman", "1")
UUID = st.uuids(version=4).map(str)
SECONDS = st.floats(0, 2e9)
TOKENS = st.none() | st.integers(0, 2**40)
USAGES = st.builds(
    Usage, input=TOKENS, cache_read=TOKENS, output=TOKENS, apart=TOKENS, reasoning=TOKENS
)
NAMES = st.sampled_from(["m", "gpt-4o-mini", "é" * 90])
FINISHES = st.sampled_from([None, Finish("stop"), Finish("length"), Finish("tool_calls")])
NUMBERS = st.dictionaries(
    st.sampled_from(["max_tokens", "temperature", "seed", "messages"]),
    st.integers(-9, 10**20) | st.floats(0, 2) | st.text(max_size=40),
)


@st.composite
def tries(draw):
    return Attempt(
        draw(UUID),
        1,
        draw(st.sampled_from(["openai", "xai"])),
        draw(NAMES),
        None,
        0.0,
        draw(SECONDS),
        status=draw(st.sampled_from(["complete", "client_cut"])),
        upstream_status=draw(st.sampled_from([None, 200])),
        upstream_id=draw(st.none() | st.text(max_size=300)),
        finish=draw(FINISHES),
        first_event_s=draw(st.none() | SECONDS),
        duration_s=draw(SECONDS),
        usage=draw(st.none() | USAGES),
        cost=draw(st.none() | st.decimals(0, 9, places=9)),
        answered=draw(st.sampled_from([None, "m-2026-01-31", "é" * 90])),
        cost_from=draw(st.sampled_from(["provider", "priced", "none"])),
    )


@st.composite
def calls(draw):
    call, one = call_of(draw(st.sampled_from(["chat", "generate"]))), draw(tries())
    call.id, call.trace_id = draw(UUID), draw(st.uuids(version=4)).hex
    call.wall = draw(SECONDS)
    call.caller = Caller(draw(st.sampled_from(["k1", "k2"])), draw(st.sampled_from(["t", "u"])))
    call.parent_id = draw(st.sampled_from(["", "b7ad6b7169203331"]))
    call.headers = draw(
        st.dictionaries(st.sampled_from(["x-request-id", "tracestate"]), st.just("congo=1"))
    )
    asked = draw(st.none() | NUMBERS)
    if asked is not None:
        call.asked = {name: Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    outcome = call.outcome
    outcome.attempts, outcome.standing = [one], one
    outcome.requested_model = draw(NAMES)
    outcome.stream = draw(st.booleans())
    outcome.status = draw(st.sampled_from(["complete", "client_cut", "upstream_cut"]))
    outcome.http_status = draw(st.sampled_from([200, 500]))
    outcome.cache = draw(st.sampled_from([None, "miss"]))
    outcome.origin = draw(st.sampled_from([None, Origin("0193f2c4")]))
    return call


def read(spans):
    found = ExportTraceServiceRequest()
    found.ParseFromString(request(*HEAD, spans))
    listed = list(found.resource_spans[0].scope_spans[0].spans)
    for span in listed:
        said = sorted(span.attributes, key=lambda each: each.key)
        del span.attributes[:]
        span.attributes.extend(said)
    return listed


def whole(made, **more):
    """A call and its try with all that a usual one has."""
    call = call_of()
    call.id, call.trace_id = (
        "0193f2c4-a1b2-7e7d-9d3c-6a5b4f3e2d1c",
        "0af7651916cd43dd8448eb211c80319c",
    )
    call.caller = Caller("k", "t")
    one = Attempt(call.id, 1, "openai", "m", None, 0.0, 0.0, status="complete")
    one.duration_s, one.usage, one.cost = 0.1, Usage(input=1, output=2), Decimal("0.5")
    call.outcome.attempts, call.outcome.standing = [one], one
    for name, value in more.items():
        setattr(call.outcome if hasattr(call.outcome, name) else call, name, value)
    return made.note(call, 0.25)


@given(st.lists(st.tuples(calls(), SECONDS), min_size=1, max_size=4))
def test_they_say_what_those_of_any_call_say(over):
    made = Pairs(lambda name: f"https://{name}.test/v1")
    notes = [made.note(call, took) for call, took in over]
    usual = [span for each in over for span in spans_of(*each, made._addresses)]
    assert None not in notes
    assert read([made.spans(notes)]) == read(usual)


def test_a_call_of_another_kind_is_left_to_others():
    made = Pairs(lambda _: None)
    assert whole(made) is not None
    assert whole(made, error_code="x") is None
    assert whole(made, standing=None) is None
    assert whole(made, attempts=[]) is None
    assert whole(made, caller=None) is None
    assert whole(made, fetches=("something",)) is None
    assert whole(made, requested_model="m" * 201) is None


def test_a_provider_that_has_moved_is_told_where_it_is_now():
    at = ["https://one.test"]
    made = Pairs(lambda _: at[0])
    for host in "one.test", "two.test":
        at[0] = f"https://{host}"
        _, tried = read([made.spans([whole(made)])])
        said = {each.key: each.value for each in tried.attributes}
        assert said["server.address"].string_value == host


def test_a_provider_that_moves_while_two_write_gives_no_half_of_each():
    """The loop and the exporter's thread write at the same time; each of them goes by one address."""
    dice = random.Random(3)
    hosts = [f"{'x' * number}.test" for number in range(1, 40)]
    made = Pairs(lambda _: f"https://{dice.choice(hosts)}")
    note, wrong = whole(made), []

    def write():
        for _ in range(300):
            _, tried = read([made.spans([note] * 3)])[:2]
            said = {each.key: each.value for each in tried.attributes}
            if said["server.address"].string_value not in hosts:
                wrong.append(said)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            for each in [pool.submit(write) for _ in range(3)]:
                each.result()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def test_no_more_pairs_are_remembered_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr("dragoman.telemetry.span_pairs._MOST", 3)
    made = Pairs(lambda _: None)
    for number in range(10):
        assert whole(made, requested_model=f"m{number}") is not None
        assert len(made._known) <= 3
