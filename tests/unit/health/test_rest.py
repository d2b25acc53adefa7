"""Keys are given a rest: for a model after a rate limit, altogether after a refusal."""

from dragoman.health import rest
from dragoman.health.rest import DEFAULT_S, LONGEST_S, QUARANTINE_S, Rests


def test_a_rate_limit_rests_the_key_for_that_model_as_long_as_was_said() -> None:
    rests = Rests()
    assert not rests.rests("p", "k", "m", 0)
    rests.cool("p", "k", "m", 0, 7.5)
    assert rests.rests("p", "k", "m", 7.4)
    assert not rests.rests("p", "k", "m", 7.5)
    assert not rests.rests("p", "k", "other", 1)
    assert not rests.rests("p", "other", "m", 1)
    assert not rests.rests("other", "k", "m", 1)


def test_without_a_word_on_when_to_come_back_the_rest_is_short_and_never_endless() -> None:
    rests = Rests()
    rests.cool("p", "k", "m", 0, None)
    assert rests.rests("p", "k", "m", DEFAULT_S - 0.1)
    assert not rests.rests("p", "k", "m", DEFAULT_S)
    rests.cool("p", "k", "m", 0, 1e12)
    assert not rests.rests("p", "k", "m", LONGEST_S)
    rests.cool("p", "k", "m", 0, -5)
    assert not rests.rests("p", "k", "m", 0)


def test_a_refused_key_rests_for_every_model_until_it_works() -> None:
    rests = Rests()
    rests.quarantine("p", "k", 0)
    assert rests.rests("p", "k", "any", QUARANTINE_S - 1)
    rests.release("p", "k", "any", 0)
    assert not rests.rests("p", "k", "other", 1)


def test_a_key_that_works_for_a_model_loses_that_models_rest() -> None:
    rests = Rests()
    rests.release("p", "k", "m", 0)
    rests.cool("p", "k", "m", 0, 60)
    rests.cool("p", "k", "n", 0, 60)
    rests.release("p", "k", "m", 0)
    assert not rests.rests("p", "k", "m", 1)
    assert rests.rests("p", "k", "n", 1)


def test_rests_do_not_fill_the_memory(monkeypatch) -> None:
    monkeypatch.setattr(rest, "MOST", 3)
    rests = Rests()
    for number in range(3):
        rests.cool("p", "k", f"m{number}", 0, 10)
    rests.cool("p", "k", "late", 20, 10)
    assert list(rests.ends) == [("p", "k", "late")]
    for number in range(3):
        rests.cool("p", "k", f"n{number}", 20, 10)
    assert len(rests.ends) == 3
    assert rests.rests("p", "k", "n2", 21)
    assert not rests.rests("p", "k", "late", 21)


def test_who_does_not_say_for_how_long_shortens_no_rest() -> None:
    rests = Rests()
    rests.cool("p", "k", "m", 0, 60)
    rests.cool("p", "k", "m", 1, None)
    assert rests.back_at("p", "k", "m", 1) == 60
    rests.cool("p", "k", "m", 2, 3)
    assert rests.back_at("p", "k", "m", 2) == 5
    assert rests.back_at("p", "other", "m", 2) == 2


def test_of_two_reports_of_a_rest_the_later_one_is_true() -> None:
    rests = Rests()
    rests.heard(("p", "k", "m"), 10, 70, 20)
    assert rests.rests("p", "k", "m", 69)
    rests.heard(("p", "k", "m"), 9, None, 20)
    assert rests.rests("p", "k", "m", 69)
    rests.heard(("p", "k", "m"), 11, None, 20)
    assert not rests.rests("p", "k", "m", 20)
    rests.heard(("p", "k", "m"), 10, 70, 20)
    assert not rests.rests("p", "k", "m", 20)
    rests.heard(("p", "k", "n"), 1, 10, 20)
    assert rests.until(("p", "k", "n")) is None
