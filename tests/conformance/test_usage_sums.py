"""Questions to the ledger's sums, against a count by hand of the very calls that were written."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from databases import KINDS, database_url
from dragoman.accounting.asked import DIMENSIONS
from dragoman.accounting.entry import Entry, RequestRow
from dragoman.accounting.ports import Only, Scope, Sums
from dragoman.accounting.question import LABELS, Question, root_of
from dragoman.accounting.report import add
from dragoman.core.errors import CallerError
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.exports import SqlExports
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.ledger_rows import HOUR_US
from dragoman.store.sql.summing import Summing
from ledger_calls import FIRST, numbers, row, used
from sampling import examples

DAY_US = 24 * HOUR_US
MOST = 10_000
CHAINS = (
    "me",
    "multi_skill:orchestrator->skill1->skill2",
    "multi_skill:orchestrator->skill2",
    "multi_skill:orchestrator",
    "é->x",
    "",
)


HEARD = {
    "audio_input_tokens": 11,
    "audio_output_tokens": 13,
    "units": "audio_seconds=7",
}
SEEN = {
    "image_input_tokens": 17,
    "image_output_tokens": 19,
    "web_searches": 3,
    "units": "images=2 audio_seconds=50",
}


def added(one: RequestRow) -> Sums:
    """What one call adds, written down once more."""
    its = one.consumed
    guessed, guessed_cost = its.tokens_from == "estimated", its.cost_from == "estimated"
    worked = (
        one.attempts > 0
        and one.operation in {"chat", "embeddings"}
        and one.status not in {"refused", "upstream_error", "house_error"}
    )
    return Sums(
        requests=1,
        failed=one.status not in {"complete", "client_cut"},
        input_tokens=0 if guessed else its.input_tokens or 0,
        output_tokens=0 if guessed else its.output_tokens or 0,
        cache_read_tokens=0 if guessed else its.cache_read_tokens or 0,
        cache_write_tokens=0 if guessed else its.cache_write_tokens or 0,
        reasoning_tokens=0 if guessed else its.reasoning_tokens or 0,
        cost_pico=0 if guessed_cost else its.cost_pico or 0,
        estimated_requests=guessed or guessed_cost,
        estimated_input_tokens=(its.input_tokens or 0) if guessed else 0,
        estimated_output_tokens=(its.output_tokens or 0) if guessed else 0,
        estimated_cost_pico=(its.cost_pico or 0) if guessed_cost else 0,
        unknown_tokens=worked and its.tokens_from == "none",
        unknown_cost=worked and its.cost_from == "none",
        charged_pico=0 if guessed_cost else one.charged_pico or 0,
        other_cost_pico=one.other_cost_pico,
        estimated_charged_pico=(one.charged_pico or 0) if guessed_cost else 0,
        **({} if guessed else media(its)),
    )


def media(its) -> dict[str, int]:
    names = (
        "audio_input_tokens",
        "audio_output_tokens",
        "image_input_tokens",
        "image_output_tokens",
        "web_searches",
    )
    units = dict(each.split("=") for each in its.units.split())
    found = {name: getattr(its, name) or 0 for name in names}
    return found | {name: int(number) for name, number in units.items()}


def named(one: RequestRow, dimension: str) -> str:
    day = datetime.fromtimestamp(one.created_us / 1_000_000, UTC).date().isoformat()
    return {
        "day": day,
        "month": day[:7],
        "tenant": one.tenant,
        "key": one.key_id,
        "provider": one.provider or "",
        "model": one.model or "",
        "caller": one.caller,
        "root": root_of(one.caller),
        "project": one.project,
        "user": one.end_user,
        "tag": one.tags,
    }[dimension]


def told(one: RequestRow, question: Question) -> list[RequestRow]:
    """The call as often as it counts: once, or for each of its labels of the kind that is asked for."""
    if "tag" in question.kinds:
        return [msgspec.structs.replace(one, tags=tag) for tag in one.tags.split(",") if tag]
    if "project" in question.kinds and not one.project:
        return []
    return [] if "user" in question.kinds and not one.end_user else [one]


def by_hand(rows: list[RequestRow], question: Question) -> dict[tuple[str, ...], Sums]:
    scope, found = question.scope, {}
    for one in [each for written in rows for each in told(written, question)]:
        wanted = (
            scope.tenant in {None, one.tenant}
            and scope.key_id in {None, one.key_id}
            and (scope.since_us is None or one.created_us >= scope.since_us)
            and (scope.until_us is None or one.created_us < scope.until_us)
            and all(
                getattr(question, name) in {None, named(one, name)}
                for name in ("provider", "model", "caller", "root", "project", "user", "tag")
            )
        )
        if wanted:
            key = tuple(named(one, dimension) for dimension in question.group)
            add(found.setdefault(key, Sums()), added(one))
    return found


def some(*values):
    return st.sampled_from(values)


moments = st.one_of(
    st.integers(FIRST, FIRST + 40 * DAY_US),
    st.integers(0, 40).map(lambda day: FIRST + day * DAY_US),
    st.integers(0, 40 * 24).map(lambda hour: FIRST + hour * HOUR_US),
)
calls = st.builds(
    row,
    created_us=moments,
    tenant=some("t1", "t2"),
    key_id=some("k1", "k2"),
    caller=some(*CHAINS),
    provider=some("openai", "openrouter", None),
    model=some("m1", "m2", None),
    status=some("complete", "client_cut", "timeout", "refused", "unknown"),
    operation=some("chat", "embeddings", "models"),
    attempts=some(0, 1, 2),
    project=some("", "p1", "p2"),
    end_user=some("", "u1", "u2"),
    tags=some("", "nightly", "a=b,nightly", "c/d,e@f,nightly"),
    charged_pico=st.none() | st.integers(0, 10**15),
    other_cost_pico=st.integers(0, 10**6),
    consumed=st.builds(
        lambda plain, media: msgspec.structs.replace(plain, **media),
        st.builds(
            used,
            some("reported", "reconciled", "estimated", "none"),
            some("provider", "priced", "estimated", "none"),
            st.none() | st.integers(0, 10**15),
        ),
        some({}, {}, HEARD, SEEN),
    ),
)
ends = st.none() | moments
spans = st.tuples(ends, ends).map(
    lambda pair: pair if None in pair else (min(pair), max(pair))  # type: ignore[type-var]
)
questions = st.builds(
    lambda span, tenant, key, group, **only: Question(
        Scope(tenant, key, *span), tuple(group), **only
    ),
    spans,
    some(None, "t1", "t2"),
    some(None, "k1"),
    st.lists(some(*DIMENSIONS), max_size=3, unique=True),
    provider=some(None, None, "openai"),
    model=some(None, None, "m2"),
    caller=some(None, None, CHAINS[1]),
    root=some(None, None, "multi_skill:orchestrator"),
    project=some(None, None, None, "p1"),
    user=some(None, None, None, "u1"),
    tag=some(None, None, None, "nightly"),
)


@pytest.fixture(params=KINDS)
def house(request, tmp_path):
    """A runner over one database, which every example fills with calls of its own tenants' names."""
    with asyncio.Runner() as runner:
        opening = database_url(request.param, tmp_path)
        database = runner.run(open_upgraded(runner.run(opening.__aenter__())))
        yield runner, database
        runner.run(database.close())
        runner.run(opening.__aexit__(None, None, None))


@pytest.mark.req("R-USE-004", "R-USE-014", "M9")
@settings(
    max_examples=examples(60),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_every_question_is_answered_as_a_count_by_hand_answers_it(house, data):
    runner, database = house
    rows = data.draw(st.lists(calls, max_size=30))
    # A database for each example would take seconds: each has tenants of its own.
    mark = f"-{next(numbers)}"
    mine = [msgspec.structs.replace(one, tenant=one.tenant + mark) for one in rows]
    ledger, summing = SqlLedger(database), Summing(database)
    half = len(mine) // 2
    for batch in (mine[:half], mine[half:], mine):
        runner.run(ledger.write([Entry(one, ()) for one in batch]))
    for question in data.draw(st.lists(questions, min_size=1, max_size=6)):
        scope = question.scope
        if scope.tenant is None:
            scope = msgspec.structs.replace(scope, tenant="t1")
        scope = msgspec.structs.replace(scope, tenant=f"{scope.tenant}{mark}")
        asked = msgspec.structs.replace(question, scope=scope)
        if len(asked.kinds) > 1:
            with pytest.raises(CallerError, match="cannot be asked for together"):
                runner.run(summing.ask(asked, MOST))
            continue
        found = runner.run(summing.ask(asked, MOST))
        assert found == by_hand(mine, asked)


def test_all_tenants_together_are_counted_as_well(house):
    runner, database = house
    rows = [
        row(
            tenant=f"t{number % 3}",
            caller=CHAINS[number % 6],
            created_us=FIRST + number * HOUR_US // 2,
        )
        for number in range(200)
    ]
    runner.run(SqlLedger(database).write([Entry(one, ()) for one in rows]))
    for group in (
        (),
        ("tenant",),
        ("month", "tenant", "root"),
        ("day",),
        ("tenant", "key", "model"),
    ):
        for span in ((None, None), (FIRST + HOUR_US + 5, FIRST + 3 * DAY_US + 7 * HOUR_US + 1)):
            question = Question(Scope(None, None, *span), group)
            assert runner.run(Summing(database).ask(question, MOST)) == by_hand(rows, question)


def test_more_groups_than_may_be_are_refused(house):
    runner, database = house
    rows = [row(caller=f"c{number}") for number in range(5)]
    runner.run(SqlLedger(database).write([Entry(one, ()) for one in rows]))
    question = Question(Scope("t1"), ("caller",))
    assert len(runner.run(Summing(database).ask(question, 5))) == 5
    with pytest.raises(CallerError, match="more than 4 groups"):
        runner.run(Summing(database).ask(question, 4))


def test_an_export_has_each_call_of_its_scope_once_and_in_the_order_of_time(house, monkeypatch):
    monkeypatch.setattr("dragoman.store.sql.exports._WINDOW", 7)
    runner, database = house
    rows = [
        row(
            tenant=f"t{number % 3}",
            caller=CHAINS[number % 6],
            created_us=FIRST + number * 1_000_000,
        )
        for number in range(60)
    ]
    runner.run(SqlLedger(database).write([Entry(one, ()) for one in rows]))

    async def read(scope: Scope, only: Only) -> list[str]:
        pages = SqlExports(database).calls(scope, only)
        return [hit.line.call_id async for page in pages for hit in page]

    def wanted(**equal: object) -> list[str]:
        return [one.call_id for one in rows if all(getattr(one, k) == v for k, v in equal.items())]

    assert runner.run(read(Scope(None), Only())) == wanted()
    assert runner.run(read(Scope("t1"), Only())) == wanted(tenant="t1")
    assert runner.run(read(Scope("t1", "k2"), Only())) == []
    assert runner.run(read(Scope("t2"), Only(caller=CHAINS[2]))) == wanted(
        tenant="t2", caller=CHAINS[2]
    )
    chained = [one.call_id for one in rows if root_of(one.caller) == "multi_skill:orchestrator"]
    assert runner.run(read(Scope(None), Only(root="multi_skill:orchestrator"))) == chained
    part = Scope(None, None, FIRST + 10_000_000, FIRST + 20_000_000)
    assert runner.run(read(part, Only())) == [one.call_id for one in rows[10:20]]


def test_a_label_is_a_kind_that_sums_are_kept_by():
    assert set(LABELS) <= set(DIMENSIONS)
