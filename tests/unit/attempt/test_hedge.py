"""A second try beside a slow one: when it is made, who wins, and how each of them ends."""

import asyncio
import time

import pytest

from dragoman.attempt.attempt import attempt
from dragoman.attempt.hedge import _Race
from dragoman.core.ask import read_ask
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.core.provider import Plan
from racing import (
    HELLO,
    WHOLE,
    Whole,
    both,
    ends,
    failing,
    furnished,
    outcome_of,
    run,
    said,
    slow,
)
from scripted import EVER, Scripted, Tab, call_of, candidate


class Books(Tab):
    """Remembers in which order records were written."""

    def __init__(self):
        self.written = []

    def opened(self, attempt):
        self.written.append((attempt.provider, "opened"))

    def closed(self, attempt):
        self.written.append((attempt.provider, attempt.status))


@both
def test_the_quicker_one_is_the_answer_and_the_other_is_closed_before_it(stream):
    means, _ = furnished(
        {"p": [slow("tardy", EVER, stream=stream)], "q": [slow("fast", 0, stream=stream)]}
    )
    books = Books()
    start = time.monotonic()
    outcome, body = run(means, stream=stream, tab=books)
    assert time.monotonic() - start < 0.5
    assert b"fast" in body
    assert b"tardy" not in body
    assert books.written == [
        ("p", "opened"),
        ("q", "opened"),
        ("p", "hedge_lost"),
        ("q", "complete"),
    ]
    assert outcome.status == "complete"
    assert outcome.served.provider == "q"
    assert means.health.busy.of("p", "m") == means.health.busy.of("q", "m") == 0
    assert not means.health.states(time.monotonic())


@both
def test_a_quick_one_is_alone_and_so_is_a_slow_one_unasked(stream):
    for hedge, after in ((True, 0.0), (None, 0.1), (False, 0.1)):
        means, providers = furnished({"p": [slow("a", after, stream=stream)], "q": []})
        outcome, body = run(means, stream=stream, hedge=hedge)
        assert b'"a"' in body
        assert providers.asked == ["p"]
        assert ends(outcome) == [("p", "complete")]


@both
@pytest.mark.parametrize(
    ("hedge", "policy", "made"),
    [(None, "always", 2), (False, "always", 1), (True, "never", 1), (True, "asked", 2)],
)
def test_who_may_be_hedged(stream, hedge, policy, made):
    replies = {"p": [slow("a", 0.15, stream=stream)], "q": [slow("b", 0, stream=stream)]}
    means, providers = furnished(replies, hedge=policy)
    run(means, stream=stream, hedge=hedge)
    assert len(providers.asked) == made


@both
def test_a_single_candidate_is_asked_again(stream):
    means, providers = furnished(
        {"p": [slow("tardy", EVER, stream=stream), slow("fast", 0, stream=stream)]}
    )
    outcome, body = run(means, stream=stream, names=("p",))
    assert b"fast" in body
    assert ends(outcome) == [("p", "hedge_lost"), ("p", "complete")]
    assert providers.asked == ["p", "p"]


@both
def test_one_attempt_is_one(stream):
    means, providers = furnished({"p": [slow("a", 0.1, stream=stream)], "q": []})
    run(means, stream=stream, attempts=1)
    assert providers.asked == ["p"]


@both
def test_the_first_may_win_and_is_then_the_one_that_serves(stream):
    means, _ = furnished(
        {"p": [slow("a", 0.15, stream=stream)], "q": [slow("b", EVER, stream=stream)]}
    )
    outcome, body = run(means, stream=stream)
    assert b'"a"' in body
    assert ends(outcome) == [("p", "complete"), ("q", "hedge_lost")]
    assert outcome.served.provider == "p"


@both
def test_a_first_one_that_fails_meanwhile_leaves_the_answer_to_the_second(stream):
    means, providers = furnished({"p": [failing(503, 0.1)], "q": [slow("b", 0.2, stream=stream)]})
    outcome, body = run(means, stream=stream)
    assert b'"b"' in body
    assert ends(outcome) == [("p", "upstream_error"), ("q", "complete")]
    assert providers.asked == ["p", "q"]


@both
def test_a_second_one_that_fails_leaves_the_answer_to_the_first(stream):
    means, providers = furnished({"p": [slow("a", 0.2, stream=stream)], "q": [failing(400, 0)]})
    outcome, body = run(means, stream=stream)
    assert b'"a"' in body
    assert ends(outcome) == [("p", "complete"), ("q", "upstream_error")]
    assert (outcome.served.provider, outcome.status) == ("p", "complete")
    assert providers.asked == ["p", "q"]


@both
def test_where_both_fail_the_walk_goes_on_behind_them(stream):
    replies = {
        "p": [failing(503, 0.1)],
        "q": [failing(503, 0)],
        "r": [slow("c", 0, stream=stream)],
    }
    means, providers = furnished(replies, max_retries=0)
    outcome, body = run(means, stream=stream, names=("p", "q", "r"))
    assert b'"c"' in body
    assert providers.asked == ["p", "q", "r"], "nobody is asked twice"
    assert [status for _, status in ends(outcome)] == [
        "upstream_error",
        "upstream_error",
        "complete",
    ]


@both
def test_where_all_fail_the_firsts_error_is_told(stream):
    means, providers = furnished({"p": [failing(503, 0.1)], "q": [failing(500, 0)]}, max_retries=0)
    outcome, error = run(means, stream=stream)
    assert isinstance(error, UpstreamError)
    assert error.upstream_status == 503
    assert providers.asked == ["p", "q"]
    assert outcome.status == "upstream_error"


@both
def test_too_little_is_known_or_the_tenth_is_spent(stream):
    means, providers = furnished({"p": [slow("a", 0.1, stream=stream)], "q": []})
    recent = means.health.paces.of("p", "m", whole=not stream).recent
    while len(recent) > 19:
        recent.pop()
    run(means, stream=stream)
    assert providers.asked == ["p"]
    means, providers = furnished({"p": [slow("a", 0.1, stream=stream)], "q": []})
    while means.hedges.afford(0.0):
        means.hedges.spend()
    run(means, stream=stream)
    assert providers.asked == ["p"]


@both
def test_it_goes_to_nobody_who_rests_or_is_down(stream):
    replies = {
        "p": [slow("tardy", EVER, stream=stream), slow("again", 0, stream=stream)],
        "q": [],
        "r": [],
    }
    means, providers = furnished(replies)
    now = time.monotonic()
    means.health.rests.cool("q", "", "m", now, 60)
    for _ in range(5):
        means.health.failed(candidate("r"), UpstreamError("server", "x"), now)
    _, body = run(means, stream=stream, names=("p", "q", "r"))
    assert b"again" in body
    assert providers.asked == ["p", "p"]


@both
@pytest.mark.parametrize("gone", [True, False])
def test_a_caller_that_leaves_and_a_server_that_ends_end_both(stream, gone):
    async def go():
        means, providers = furnished(
            {"p": [slow("a", EVER, stream=stream)], "q": [slow("b", EVER, stream=stream)]}
        )
        call = call_of()
        body = b'{"model":"p/m","stream":%b,%b}' % (b"true" if stream else b"false", HELLO)
        plan = Plan("p/m", (candidate("p"), candidate("q")), hedge=True)
        task = asyncio.create_task(attempt(plan, read_ask(body), call, Tab(), means))
        async with asyncio.timeout(10):
            while providers.asked != ["p", "q"]:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
        call.gone = gone
        task.cancel()
        if gone:
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(HouseError) as caught:
                await task
            assert caught.value.code == "server_draining"
        status = "client_cut" if gone else "house_error"
        assert ends(call.outcome) == [("p", status), ("q", status)]
        assert len(asyncio.all_tasks()) == 1, "nothing is left running"

    asyncio.run(go())


def test_what_a_lost_stream_has_told_of_its_usage_is_kept():
    async def go():
        start = (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
            b'"role":"assistant","content":[],"model":"m","usage":{"input_tokens":17,"output_tokens":1}}}\n\n'
        )
        replies = {"p": [Scripted([(0, start), (EVER, b"")])], "q": [Scripted(said("fast"))]}
        means, _ = furnished(replies)
        call = call_of()
        body = b'{"model":"p/m","stream":true,%b}' % HELLO
        plan = Plan("p/m", (candidate("p", family="anthropic"), candidate("q")), hedge=True)
        answer = await attempt(plan, read_ask(body), call, Tab(), means)
        assert b"fast" in b"".join([piece async for piece in answer.pieces])
        lost = call.outcome.attempts[0]
        assert (lost.status, lost.upstream_id) == ("hedge_lost", "msg_1")
        assert lost.usage.input == 17
        assert lost.usage.output is None

    asyncio.run(go())


def test_one_that_has_not_even_set_out_is_closed_as_well():
    """The first brings its answer in the moment in which the second is written down."""
    come = asyncio.Event()

    class Waiting(Whole):
        async def read(self, limit):
            del limit
            await come.wait()
            return WHOLE % b"a"

    class Prompt(Books):
        def opened(self, attempt):
            super().opened(attempt)
            if attempt.provider == "q":
                come.set()

    means, providers = furnished({"p": [Waiting()], "q": []})
    outcome, body = run(means, stream=False, tab=Prompt())
    assert b'"a"' in body
    assert providers.asked == ["p"]
    assert ends(outcome) == [("p", "complete"), ("q", "hedge_lost")]
    assert means.health.busy.of("q", "m") == 0


def test_a_race_is_over_when_somebody_has_won_though_its_record_is_still_being_kept():
    class Winner:
        stood = False

        def stand(self):
            self.stood = True

    race, winner = _Race(), Winner()
    assert not race.is_over()
    asyncio.run(race._claim(winner))
    assert race.is_over()
    assert winner.stood


class Broke(Books):
    """Its budget pays for one try."""

    def __init__(self):
        super().__init__()
        self.purse = self
        self.asked = []

    def affords_now(self, at):
        return False

    async def affords(self, at):
        self.asked.append(at.provider.name)
        return len(self.asked) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_a_second_try_that_no_budget_pays_for_is_not_made(stream):
    async def go():
        replies = {
            "p": [slow("first", 0.2, stream=stream)],
            "q": [slow("second", 0, stream=stream)],
        }
        means, providers = furnished(replies)
        books = Broke()
        outcome, brought = await outcome_of(means, stream=stream, tab=books)
        assert b"first" in brought
        assert providers.asked == ["p"]
        assert books.asked == ["p", "q"]
        assert [each.provider for each in outcome.attempts] == ["p"]

    asyncio.run(go())
