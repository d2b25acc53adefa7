"""The line of a request: the short way to it says what the long one does, and all that wait go out together."""

import json
import os
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.call import Attempt, Caller, Origin, Outcome, Shown
from dragoman.core.usage import Usage
from dragoman.telemetry.log import Log, timestamp
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.request_end import finished_with, line_of, odd_line_of
from finished import finished_call

TOKENS = st.none() | st.integers(0, 9)
WORDS = st.none() | st.just("word")


@st.composite
def calls(draw):
    status = draw(st.sampled_from([200, 404, 503]))
    outcome = Outcome(http_status=status, stream=draw(st.booleans()), error_code=draw(WORDS))
    for number in range(draw(st.integers(0, 2))):
        one = Attempt("a", number, "p", "m", None, 0, 0)
        one.first_event_s = draw(st.none() | st.floats(0, 9))
        one.cost = draw(st.none() | st.just(Decimal("0.0250")))
        one.usage = draw(st.none() | st.builds(Usage, input=TOKENS, output=TOKENS, apart=TOKENS))
        outcome.attempts.append(one)
        outcome.standing = draw(st.sampled_from([None, *outcome.attempts]))
    outcome.origin = draw(st.none() | st.just(Origin("call")))
    caller = draw(st.none() | st.just(Caller("key", "t")))
    shown = draw(st.none() | st.just(Shown("/v1?key=k", "body")))
    return finished_call(outcome, caller=caller, shown=shown, wall=draw(st.floats(0, 2e9)))


@given(calls(), st.floats(0, 9))
def test_both_ways_say_the_same(call, took) -> None:
    assert line_of(call, took) == odd_line_of(call, took)


@given(st.floats(0, 4e9))
def test_a_timestamp_has_three_digits_of_its_second(wall) -> None:
    assert timestamp(wall)[-5:] == f".{int((wall - int(wall)) * 1000):03d}Z"[-5:]


def test_lines_that_wait_go_out_together_and_one_that_cannot_be_said_holds_up_none() -> None:
    reading, writing = os.pipe()
    log, due = Log("info", "json", writing), []
    log.later = lambda: due.append(1)
    tell = finished_with(Metrics(), log)
    for model in ("one", "half \ud800", "two"):
        outcome = Outcome(http_status=200)
        outcome.attempts = [Attempt("a", 1, "p", model, None, 0, 0, duration_s=1.0)]
        outcome.standing = outcome.attempts[0]
        tell(finished_call(outcome), 1.0)
    assert (log.waiting, due) == (3, [1])
    log.flush()
    lines = os.read(reading, 1 << 16).splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["one", "two"]
    assert (log.waiting, log.lost) == (0, 1)
    log.close()
    os.close(reading)
    os.close(writing)


def test_no_line_is_made_that_nobody_wants() -> None:
    reading, writing = os.pipe()
    tell = finished_with(Metrics(), Log("warn", "json", writing))
    tell(finished_call(Outcome(http_status=200)), 1.0)
    os.close(writing)
    assert os.read(reading, 10) == b""
    os.close(reading)


@pytest.mark.req("R-USE-001", "R-OBS-005")
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (Usage(input=7), {"input": 7}),
        (Usage(output=2, apart=3), {"output": 5}),
        (Usage(input=0, output=0), {"input": 0, "output": 0}),
        (Usage(cost=Decimal("0.1")), None),
        (None, None),
    ],
)
@pytest.mark.parametrize("told_by", [line_of, odd_line_of])
def test_a_number_that_nobody_knows_is_left_out(told_by, usage, tokens) -> None:
    attempt = Attempt("a", 1, "p", "m", None, 0, 0, usage=usage)
    call = finished_call(Outcome(http_status=200, attempts=[attempt], standing=attempt))
    assert told_by(call, 1.0).tokens == tokens


@pytest.mark.req("R-OBS-006", "R-OBS-011")
@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("info", ["200 info", "404 warning", "429 warning", "503 error", "200 error"]),
        ("warn", ["404 warning", "429 warning", "503 error", "200 error"]),
        ("error", ["503 error", "200 error"]),
        ("silent", []),
    ],
)
def test_who_wants_to_hear_of_failures_alone_hears_of_them(level, told) -> None:
    reading, writing = os.pipe()
    tell = finished_with(Metrics(), Log(level, "json", writing))
    ends = [(200, None), (404, "no"), (429, "slow"), (503, "down"), (200, "upstream_truncated")]
    for status, code in ends:
        tell(finished_call(Outcome(http_status=status, error_code=code)), 1.0)
    os.close(writing)
    lines = [json.loads(line) for line in os.read(reading, 1 << 16).splitlines()]
    os.close(reading)
    assert [f"{line['status']} {line['level']}" for line in lines] == told
