"""Calls become spans some at a time, and hold nothing of what they were asked until then."""

from __future__ import annotations

import sys

import msgspec
import pytest
from msgspec import Raw

from dragoman.core.call import Attempt, Caller
from dragoman.telemetry.exporter import Bounds, Exporter
from dragoman.telemetry.otlp import told
from dragoman.telemetry.tracer import AT_ONCE, Tracer
from scripted import call_of


def tracer():
    exporter = Exporter([], Bounds(queue=1000), lambda *_: None)
    return Tracer(lambda *_: True, exporter, lambda _: None), exporter


def finished(made, *, provider="openai", standing=False, **asked):
    call = call_of()
    call.id = "0193f2c4-a1b2-7e7d-9d3c-6a5b4f3e2d1c"
    call.sampled = True
    call.asked = {name: Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    tried = Attempt(call.id, 1, provider, "m", None, 0.0, 0.0, status="complete")
    tried.duration_s = 0.1
    call.outcome.attempts.append(tried)
    if standing:
        call.caller, call.outcome.standing = Caller("k", "t"), tried
    made.finished(call, 0.2)
    return call


def test_spans_are_made_of_many_calls_at_once():
    made, exporter = tracer()
    for number in range(1, AT_ONCE):
        finished(made)
        assert (exporter.waiting, made.waiting) == (0, number)
    finished(made)
    assert exporter.waiting == made.waiting == 2 * AT_ONCE


def test_what_is_left_is_made_when_the_exporter_asks():
    made, exporter = tracer()
    finished(made)
    exporter.more()
    exporter.more()
    assert exporter.waiting == made.waiting == 2


def test_a_call_that_waits_holds_of_its_request_the_numbers_alone():
    made, exporter = tracer()
    call = finished(made, messages="x" * 100_000, temperature=0.5, max_tokens=7)
    assert {name: bytes(raw) for name, raw in call.asked.items()} == {
        "temperature": b"0.5",
        "max_tokens": b"7",
    }
    assert finished(made, messages="x").asked == {}
    exporter.more()
    (spans, count), *_ = exporter._queue
    assert count == len(told(spans)) == 2
    said = told(spans)[1]["attributes"]
    assert (said["gen_ai.request.temperature"], said["gen_ai.request.max_tokens"]) == (0.5, 7)


def test_a_try_that_goes_on_is_waited_for():
    made, exporter = tracer()
    call = call_of()
    call.id = "0193f2c4-a1b2-7e7d-9d3c-6a5b4f3e2d1c"
    tried = Attempt(call.id, 1, "openai", "m", None, 0.0, 0.0)
    call.outcome.attempts.append(tried)
    made.finished(call, 0.2)
    assert made.waiting == 0
    tried.duration_s = 1.0
    for each in call.ended:
        each(call.outcome)
    exporter.more()
    assert exporter.waiting == 2


def test_calls_with_one_try_that_went_well_wait_without_their_requests():
    made, exporter = tracer()
    for number in range(AT_ONCE):
        assert (exporter.waiting, made.waiting) == (0, number)
        call = finished(made, standing=True, messages="x" * 100_000, temperature=0.5)
        assert sys.getrefcount(call) == 2
    assert exporter.waiting == made.waiting == 2 * AT_ONCE
    spans = told(exporter._queue[0][0])
    assert len(spans) == 2 * AT_ONCE
    assert spans[1]["attributes"]["gen_ai.request.temperature"] == 0.5


def test_a_small_batch_is_not_made_larger():
    exporter = Exporter([], Bounds(queue=16, batch=6), lambda *_: None)
    made = Tracer(lambda *_: True, exporter, lambda _: None)
    for _ in range(2):
        finished(made, standing=True)
    assert exporter.waiting == 0
    finished(made, standing=True)
    assert exporter.waiting == 6


def test_what_finds_no_room_is_dropped_with_all_of_its_calls():
    exporter = Exporter([], Bounds(queue=7, batch=4), lambda *_: None)
    made = Tracer(lambda *_: True, exporter, lambda _: None)
    for _ in range(4):
        finished(made, standing=True)
    assert (exporter.waiting, exporter.dropped) == (4, 4)


@pytest.mark.parametrize("standing", [True, False])
def test_a_call_whose_spans_cannot_be_made_is_dropped_alone_and_breaks_nothing(standing):
    asked = []

    def addresses(provider):
        asked.append(provider)
        # What is alike in many calls is made of the first of them, and looked at again each time.
        if provider == "odd" and asked.count("odd") > standing:
            raise ZeroDivisionError

    told = []
    exporter = Exporter([], Bounds(), lambda level, message: told.append((level, message)))
    made = Tracer(lambda *_: True, exporter, addresses)
    for number in range(AT_ONCE):
        finished(made, standing=standing, provider="odd" if number == 3 else "openai")
    assert (exporter.waiting, exporter.dropped) == (2 * (AT_ONCE - 1), 2)
    exporter.start()
    exporter.close()
    assert told == [("warn", "traces cannot be exported: ZeroDivisionError")]


@pytest.mark.parametrize("standing", [True, False])
def test_what_goes_wrong_when_a_call_is_noted_reaches_no_request(standing):
    made, exporter = tracer()
    call = finished(made, standing=standing)
    exporter.more()
    call.asked = {"temperature": None}  # nothing that bytes can be made of
    made.finished(call, 0.2)
    call.outcome.attempts[0].duration_s = None
    made.finished(call, 0.2)
    call.outcome.attempts[0].duration_s = 0.1
    for each in call.ended:
        each(call.outcome)
    made.consumed(call)
    exporter.more()
    assert exporter.waiting == 2, "the first is told as ever"
    assert exporter.dropped > 0


def test_a_call_without_tries_that_was_told_before_has_no_spans():
    made, exporter = tracer()
    made.consumed(call_of())
    assert not exporter._queue
