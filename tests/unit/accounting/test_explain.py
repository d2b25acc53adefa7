"""A call is explained from its records, whole or half, new or old."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.accounting.choice import NO_CHOICE, Choice, LeftOut, choice_text, read_choice
from dragoman.accounting.entry import entry_of
from dragoman.accounting.explain import explain
from dragoman.core.provider import Candidate, Plan, Provider, Skipped
from sampling import examples

PROVIDERS = [Provider(name, "chat", "http://x", {}) for name in ("a", "b")]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
"""What is no text for any database is written as U+FFFD, and tried by itself."""
PLANS = st.builds(
    Plan,
    TEXT,
    st.lists(st.builds(Candidate, st.sampled_from(PROVIDERS), TEXT), max_size=4).map(tuple),
    strategy=st.sampled_from([None, "cost", "latency"]),
    skipped=st.lists(st.builds(Skipped, TEXT, TEXT), max_size=3).map(tuple),
)


def plan(*models, skipped=(), **members):
    candidates = tuple(Candidate(PROVIDERS[0], model) for model in models)
    return Plan("x", candidates, skipped=skipped, **members)


def test_a_call_to_one_model_has_no_choice_to_tell():
    assert choice_text(plan("m")) == choice_text(None) == choice_text(plan()) == ""
    assert choice_text(plan("m"), [Skipped("a/m", "its breaker was open")]) == ""
    assert read_choice("") is NO_CHOICE
    assert read_choice("{") is NO_CHOICE


def test_a_choice_is_read_back_with_each_model_once():
    text = choice_text(
        plan("m", "m", "n", skipped=(Skipped("b/o", "does not see"),), strategy="cost"),
        [Skipped("a/m", "its breaker was open")],
    )
    assert read_choice(text) == Choice(
        ("a/m", "a/n"),
        "cost",
        (LeftOut("b/o", "does not see"),),
        passed=(LeftOut("a/m", "its breaker was open"),),
    )


@settings(max_examples=examples(30))
@given(PLANS)
def test_any_plan_is_told_as_text_that_is_read_back(any_plan):
    text = choice_text(any_plan)
    if text:
        found = read_choice(text)
        assert [each.model for each in found.skipped] == [each.name for each in any_plan.skipped]
        assert found.candidates == tuple(dict.fromkeys(c.name for c in any_plan.candidates))
    else:
        assert len(any_plan.candidates) <= 1
        assert not any_plan.skipped


def test_a_lone_surrogate_in_a_name_is_told_as_something_that_json_has():
    assert "?" in choice_text(plan("m\ud800", "n"))


def test_the_choice_of_the_last_record_counts_and_a_crash_leaves_that_of_the_first(
    opened, closed, finished
):
    first, second = choice_text(plan("m", "n")), choice_text(plan("n", "m"))
    begin = msgspec.structs.replace(opened(), choice=first)
    assert entry_of([begin]).request.choice == first
    assert entry_of([begin, closed()]).request.choice == first
    end = msgspec.structs.replace(closed(), choice=second)
    assert entry_of([begin, end]).request.choice == second
    failed = [begin, closed(status="timeout"), msgspec.structs.replace(finished(), choice=second)]
    assert entry_of(failed).request.choice == second


def test_what_a_crash_left_open_is_under_way_and_nothing_of_it_is_guessed(opened):
    told = explain(entry_of([opened()]))
    assert [(each.model, each.outcome) for each in told.candidates] == [
        ("openai/gpt-5-mini", "under way")
    ]
    assert told.cost_usd is None
    assert told.timings.total_ms is None
    assert told.attempts[0].duration_ms is None
    assert told.attempts[0].price == "genai-prices 2025-01-01"
    assert "not known" in told.summary


def test_the_cost_is_that_of_all_attempts(opened, closed):
    records = [
        opened(),
        closed(status="upstream_cut"),
        opened(attempt_id="attempt-2", number=2),
        closed(attempt_id="attempt-2"),
    ]
    told = explain(entry_of(records))
    assert [each.cost_usd for each in told.attempts] == ["0.000027", "0.000027"]
    assert told.cost_usd == "0.000054"
    assert told.dropped == ["n;action=dropped;reason=none"]


def test_who_was_outrun_has_not_failed_and_who_answered_has(opened, closed):
    records = [
        opened(),
        opened(attempt_id="attempt-2", number=2),
        closed(attempt_id="attempt-2", status="hedge_lost"),
        closed(),
    ]
    told = explain(entry_of(records))
    assert [(each.model, each.outcome) for each in told.candidates] == [
        ("openai/gpt-5-mini", "answered")
    ]
    assert "failed" not in told.summary
    assert "another try was quicker" in told.summary
    begin, other = opened(), msgspec.structs.replace(opened(attempt_id="b", number=2), model="n")
    told = explain(entry_of([begin, other, closed(status="hedge_lost"), closed(attempt_id="b")]))
    assert [each.outcome for each in told.candidates] == ["outrun", "answered"]


def test_what_the_cache_gave_cost_nothing_and_says_who_had_made_it(finished):
    hit = msgspec.structs.replace(
        finished(status="complete", http_status=200),
        error_code=None,
        provider="openai",
        model="gpt-5-mini",
        cached=True,
    )
    told = explain(entry_of([hit]))
    assert (told.cost_usd, told.cost_from) == ("0", "cache")
    assert "openai/gpt-5-mini" in told.summary


def test_a_long_name_is_the_same_in_the_choice_and_in_its_attempt():
    long = "m" * 400
    (first, _) = read_choice(choice_text(plan(long, "n"))).candidates
    assert first == "a/" + "m" * 256
