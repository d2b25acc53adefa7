"""What attempts tell about candidates, and what is made of it."""

import pytest

from dragoman.core.call import Attempt
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate, Credential, Provider
from dragoman.core.secret import Secret
from dragoman.core.usage import Usage
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health, key_of

PROVIDER = Provider(name="p", family="chat", base_url="http://h", paths={"chat": "/c"})
ONE = Candidate(PROVIDER, "m", Credential("key-1", Secret("hunter2")))
TWO = Candidate(PROVIDER, "m", Credential("key-2", Secret("hunter2")))
BARE = Candidate(PROVIDER, "m")


def error(kind, status=None, retry_after_s=None) -> UpstreamError:
    return UpstreamError(kind, "x", upstream_status=status, retry_after_s=retry_after_s)


def test_a_candidates_key_names_provider_model_and_credential_and_no_secret() -> None:
    assert key_of(ONE) == ("p", "m", "key-1")
    assert key_of(BARE) == ("p", "m", "")


def test_a_provider_that_breaks_is_refused_after_five_times_and_only_for_that_key() -> None:
    health = Health()
    for second in range(5):
        assert health.admits(ONE, second)
        health.failed(ONE, error("server", 500), second)
    assert not health.admits(ONE, 5)
    assert not health.is_well(ONE, 5)
    assert health.is_well(TWO, 5)
    assert health.states(5) == {("p", "m", "key-1"): "open"}
    pace = health.paces.of("p", "m")
    assert pace is not None
    assert pace.requests == 5


@pytest.mark.parametrize(
    ("kind", "status"),
    [("invalid_request", 400), ("not_found", 404), ("too_large", 413), ("unprocessable", 422)],
)
def test_what_says_nothing_about_the_provider_never_counts(kind, status) -> None:
    health = Health()
    for second in range(50):
        health.failed(ONE, error(kind, status), second)
    assert health.is_well(ONE, 50)
    assert health.states(50) == {}
    assert health.paces.of("p", "m") is None


def test_a_probe_that_meets_the_callers_fault_makes_room_for_the_next() -> None:
    health = Health()
    for _ in range(5):
        health.failed(ONE, error("upstream"), 0)
    for kind, status in (("invalid_request", 400), ("rate_limit", 429), ("authentication", 401)):
        assert health.admits(ONE, 30)
        assert not health.admits(ONE, 30)
        health.failed(ONE, error(kind, status), 30)
    assert health.admits(ONE, 30)
    health.abandoned(ONE)
    assert health.admits(ONE, 30)


def test_a_rate_limit_rests_that_key_for_as_long_as_was_said_and_opens_nothing() -> None:
    health = Health()
    for _ in range(9):
        health.failed(ONE, error("rate_limit", 429, 20.0), 0)
    assert not health.is_well(ONE, 19)
    assert health.is_well(TWO, 19)
    assert health.admits(ONE, 19)
    assert health.is_well(ONE, 20)


def test_a_refused_key_rests_until_it_works_again() -> None:
    health = Health()
    health.failed(ONE, error("billing", 402), 0)
    assert not health.is_well(ONE, 1)
    assert health.admits(ONE, 1)
    health.succeeded(ONE, 2, 0.25)
    assert health.is_well(ONE, 2)
    pace = health.paces.of("p", "m")
    assert pace is not None
    assert pace.first_event_s == 0.25


def test_it_is_what_attempts_ask_for() -> None:
    from dragoman.attempt.means import Health as Asked

    asked: Asked = Health()
    assert asked.admits(BARE, 0)


def test_a_probe_that_another_one_has_outrun_was_none() -> None:
    health = Health(BreakerPolicy(failures=1, open_s=10))
    someone = ONE
    health.failed(someone, UpstreamError("server", "x"), 0.0)
    assert health.admits(someone, 11.0)
    health.outrun(someone, 12.0, 1.0, whole=False)
    assert not health.admits(someone, 13.0)
    assert health.admits(someone, 23.0)
    health.outrun(TWO, 12.0, 1.0, whole=False)
    assert health.is_well(TWO, 12.0)


def heard(health, candidate, now=0.0, **headers) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    health.heard(candidate, named, now, 1_790_000_000.0)


@pytest.mark.req("R-PROV-003")
def test_a_key_that_has_nothing_left_rests_until_its_limit_begins_anew_though_it_answers() -> None:
    health = Health()
    heard(health, ONE, x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="30s")
    health.succeeded(ONE, 1, 0.2)
    assert not health.is_well(ONE, 29)
    assert health.back_at(ONE, 1) == 30
    assert health.is_well(TWO, 1)
    assert health.is_well(ONE, 30)
    heard(health, TWO, x_ratelimit_remaining_requests="7", x_ratelimit_reset_requests="30s")
    heard(health, TWO, content_type="text/plain")
    assert health.is_well(TWO, 1)


def test_who_is_back_when() -> None:
    health = Health()
    assert health.back_at(ONE, 5) == 5
    health.failed(ONE, error("rate_limit", 429, 20.0), 5)
    assert health.back_at(ONE, 5) == 25
    for _ in range(5):
        health.failed(ONE, error("server", 500), 5)
    assert health.back_at(ONE, 5) == 35


KNOWN = Candidate(PROVIDER, "m", Credential("key-1", Secret("hunter2")), known=True)


def fail(health, candidate=KNOWN, seconds=range(0, 120, 20), fault=None, **said) -> None:
    for second in seconds:
        health.failed(candidate, fault or error("server", 500), second, **said)


@pytest.mark.req("R-PROV-004")
def test_requests_are_counted_and_not_tries_and_models_that_are_known() -> None:
    health = Health()
    fail(health)
    assert health.is_off("p", "m", 100) == "model"
    for unimpressed in (
        {"again": True},
        {"candidate": ONE},
        {"fault": error("rate_limit", 429)},
        {"fault": error("billing", 402)},
        {"fault": error("invalid_request", 400)},
        {"fault": error("permission", 403)},
    ):
        health = Health()
        fail(health, **unimpressed)
        assert health.is_off("p", "m", 100) is None
    health = Health(excluded=("maintenance",))
    fail(health, fault=UpstreamError("server", "In Maintenance", upstream_status=503))
    assert health.is_off("p", "m", 100) is None
    assert health.score("p", "m", 100) == 0


def record(**said) -> Attempt:
    return Attempt("i", 1, "p", "m", "key-1", 0.0, 0.0, status="complete", **said)


@pytest.mark.req("R-PROV-003", "R-PROV-004")
def test_an_answer_that_came_to_its_end_enables_and_is_measured() -> None:
    health = Health()
    fail(health)
    health.succeeded(KNOWN, 100, 0.2)
    assert health.is_off("p", "m", 100) == "model"
    said = record(first_event_s=0.5, duration_s=4.0, usage=Usage(input=9, output=200))
    health.completed(KNOWN, said, 104)
    assert health.is_off("p", "m", 104) is None
    found = health.statistics.of("p", "m", "key-1")
    assert (found.requests, found.failures, found.tokens_per_s) == (7, 6, 50.0)
    assert (found.first_event_s, found.reply_s) == (0.5, None)
    health.completed(KNOWN, said, 105, whole=True)
    assert health.statistics.of("p", "m", "key-1").reply_s == 4.0
    # A count of tokens is quick, and no reply.
    health.completed(KNOWN, record(first_event_s=0.01, duration_s=0.01), 106, whole=True)
    assert found.reply_s == 4.0
    assert found.tokens_per_s == 50.0


@pytest.mark.req("R-PROV-004")
def test_a_try_that_an_open_breaker_refuses_is_no_probe() -> None:
    health = Health(disabling=DisablingPolicy(probe_s=10))
    fail(health, seconds=(0, 20, 40, 59, 60))
    assert health.states(60) == {("p", "m", "key-1"): "open"}
    assert not health.admits(KNOWN, 71)
    assert health.is_off("p", "m", 71) is None
    assert health.admits(KNOWN, 90)
    assert health.is_off("p", "m", 91) == "model"
    health.abandoned(KNOWN)
    assert health.is_off("p", "m", 91) is None
