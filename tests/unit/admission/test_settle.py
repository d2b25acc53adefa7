"""How many tokens a call has used, for its limits."""

from __future__ import annotations

import pytest

from dragoman.admission.settle import tokens_of
from dragoman.core.call import Attempt, Outcome
from dragoman.core.usage import Usage


def outcome(*attempts: tuple[str, Usage | None]) -> Outcome:
    return Outcome(
        attempts=[
            Attempt(str(number), number, "p", "m", None, 0.0, 0.0, status=status, usage=usage)
            for number, (status, usage) in enumerate(attempts)
        ]
    )


@pytest.mark.parametrize(
    ("found", "tokens"),
    [
        (outcome(), 0),
        (outcome(("refused", None)), 0),
        (outcome(("upstream_error", None), ("timeout", None)), 0),
        (outcome(("complete", Usage(input=10, output=5))), 15),
        (outcome(("complete", Usage(input=10, output=5, apart=20))), 35),
        (outcome(("upstream_error", None), ("complete", Usage(input=10, output=5))), 15),
        (outcome(("hedge_lost", Usage(input=10)), ("complete", Usage(input=10, output=5))), 25),
        (outcome(("complete", None)), 700),
        (outcome(("complete", Usage())), 700),
        (outcome(("client_cut", Usage(input=10, output=3))), 13),
        (outcome(("client_cut", None), ("complete", Usage(input=900))), 900),
    ],
)
def test_what_was_reported_counts_and_what_was_not_told_stays_as_reserved(found, tokens):
    assert tokens_of(found, 700) == tokens


def test_limits_go_by_an_estimate_where_the_ledger_has_one():
    found = outcome(("complete", Usage(input=10)))
    found.attempts[0].estimated = Usage(input=10, output=7)
    assert tokens_of(found, 700) == 17
