"""Whom a budget covers, whose part of it a call pays from, and how an operator says it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.accounting.fitting import fit
from dragoman.admission.budget_clamp import bounded_to
from dragoman.admission.budget_definition import (
    MOST_USD,
    check_together,
    decode_definition,
    definition_of,
    encode_definition,
    quota_of_test_mode,
    read_definition,
)
from dragoman.admission.budget_rules import Rule, covering, payment, subject_of
from dragoman.admission.end_user import end_user
from dragoman.config.budgets import read_budgets
from dragoman.config.lines import located
from dragoman.config.settings import ConfigError
from dragoman.core.ask import read_ask
from dragoman.core.budget import Pot, ends_at, pots_of, since_of, time_of
from dragoman.core.call import Caller
from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Provider

ACME = Caller("k1", "acme", project="web")
OTHER = Caller("k2", "other")


def test_a_budget_that_names_nobody_covers_everybody():
    assert covering([Rule("all")], ACME) == (Rule("all"),)
    rules = [
        Rule("tenant", tenant="acme"),
        Rule("project", tenant="acme", project="web"),
        Rule("key", key="k1"),
        Rule("another", tenant="acme", project="app"),
    ]
    assert [rule.name for rule in covering(rules, ACME)] == ["tenant", "project", "key"]
    assert covering(rules, OTHER) == ()


def test_a_call_pays_from_every_budget_but_those_that_another_stands_in_place_of():
    rules = (
        Rule("all", each="key"),
        Rule("boss", tenant="acme", user="boss", instead_of="all"),
        Rule("people", tenant="acme", each="user"),
    )
    assert [rule.name for rule in payment(rules, ACME, "boss").rules] == ["boss", "people"]
    assert [tuple(payer) for payer in payment(rules, ACME, "me").payers] == [
        ("all", "k1"),
        ("people", "acme/me"),
    ]


@pytest.mark.req("M16")
@given(st.text(), st.text(), st.text(), st.text())
def test_two_who_are_not_the_same_never_share_a_part(tenant, user, other_tenant, other_user):
    one, other = Caller("k", tenant), Caller("k", other_tenant)
    same = (tenant, user) == (other_tenant, other_user)
    first, second = subject_of("user", one, user), subject_of("user", other, other_user)
    assert (first == second) == same
    assert len(first) < 300
    assert first.isprintable()


def test_parts_are_called_by_what_divides_them():
    assert subject_of("", ACME, "u") == ""
    assert subject_of("tenant", ACME, "u") == "acme"
    assert subject_of("project", ACME, "u") == "acme/web"
    # The word that all keys of a tenant had before there were projects: what was spent still counts.
    assert subject_of("project", Caller("k1", "acme"), "u") == "acme/"
    assert subject_of("key", ACME, "u") == "k1"
    assert subject_of("user", ACME, "a/b@example.com") == "acme/a%2Fb@example.com"


@pytest.mark.parametrize(
    ("headers", "members", "user"),
    [
        ({}, {}, ""),
        ({}, {"user": "a"}, "a"),
        ({}, {"user": "a", "safety_identifier": "b"}, "b"),
        ({}, {"metadata": {"user_id": "c"}}, "c"),
        ({}, {"metadata": "nonsense", "user": 7}, ""),
        ({"x-openwebui-user-name": "d", "x-openwebui-user-email": "e"}, {"user": "a"}, "e"),
        ({"x-openwebui-user-id": " f "}, {"user": "a"}, "f"),
        ({"x-openwebui-user-id": " "}, {"user": "a"}, "a"),
    ],
)
def test_who_is_behind_a_caller_is_what_it_says_first(headers, members, user):
    raw = {name: Raw(msgspec.json.encode(value)) for name, value in members.items()}
    assert end_user(headers, raw) == user


def test_a_member_that_is_no_json_names_nobody():
    assert end_user({}, {"user": Raw(b'"\xff"'), "metadata": Raw(b"{")}) == ""


# --- how it is said


def test_the_members_say_the_budget_and_the_budget_says_the_members():
    members = {
        "daily_usd": "0.5", "monthly_usd": "50", "total_usd": "900", "tenant": "acme",
        "project": "web", "key": "k1", "user": "u", "each": "user", "alert_at": ["0.5", "0.95"],
        "unpriced": "allow", "clamp_output": 200, "instead_of": "all",
    }  # fmt: skip
    rule = read_definition("team", members, "database")
    assert (rule.daily, rule.monthly, rule.total) == (5 * 10**11, 50 * 10**12, 900 * 10**12)
    assert (rule.clamp_output, rule.most_output) == (True, 200)
    assert rule.alert_at == (500_000, 950_000)
    assert definition_of(rule) == members
    assert decode_definition("team", encode_definition(rule)) == rule


def test_numbers_may_be_said_as_toml_has_them():
    rule = read_definition(
        "t", {"monthly_usd": 50, "daily_usd": 0.1, "alert_at": [0.8, 1]}, "file"
    )
    assert (rule.monthly, rule.daily) == (50 * 10**12, 10**11)
    assert rule.alert_at == (800_000,), "that it is used up is told anyway"
    assert rule.clamp_output is False
    assert definition_of(rule) == {"daily_usd": "0.1", "monthly_usd": "50"}
    assert [span for span, _ in rule.bounds] == ["month", "day"]


@pytest.mark.parametrize(
    ("name", "members", "says"),
    [
        ("a b", {"monthly_usd": 1}, "name"),
        ("t", {}, "monthly_usd or total_usd"),
        ("t", {"monthly": 1}, "did you mean 'monthly_usd'"),
        ("t", {"zzz": 1}, "known: daily_usd"),
        ("t", {"monthly_usd": "fifty"}, "fifty"),
        ("t", {"monthly_usd": -1}, "from 0"),
        ("t", {"monthly_usd": True}, "say USD"),
        ("t", {"monthly_usd": float("nan")}, "say USD"),
        ("t", {"monthly_usd": MOST_USD + 1}, "from 0"),
        ("t", {"monthly_usd": 1, "each": "team"}, "tenant, project, key, user"),
        ("t", {"monthly_usd": 1, "tenant": 7}, "string"),
        ("t", {"monthly_usd": 1, "user": "u"}, "say the tenant"),
        ("t", {"monthly_usd": 1, "project": "p"}, "say the tenant"),
        ("t", {"monthly_usd": 1, "alert_at": 0.8}, "alert_at"),
        ("t", {"monthly_usd": 1, "alert_at": [80]}, "up to 1"),
        ("t", {"monthly_usd": 1, "unpriced": "maybe"}, "refuse, allow"),
        ("t", {"monthly_usd": 1, "clamp_output": 0}, "clamp_output"),
        ("t", {"monthly_usd": 1, "instead_of": "t"}, "itself"),
    ],
)
def test_what_is_wrong_is_named(name, members, says):
    with pytest.raises(CallerError, match=says):
        read_definition(name, members, "file")


def test_who_stands_in_place_of_nobody_is_refused():
    rule = Rule("a", instead_of="b", monthly=1)
    check_together((rule, Rule("b", monthly=1)))
    check_together((rule,), frozenset({"b"}))
    with pytest.raises(CallerError, match="'b'"):
        check_together((rule,))


def test_a_mistake_in_the_file_is_told_with_its_line():
    text = 'format = 1\n[budgets.team]\nmonthly = "50"\n'
    with pytest.raises(ConfigError) as error:
        read_budgets({"team": {"monthly": "50"}})
    assert located(error.value.message, text, "dragoman.toml") == (
        "dragoman.toml, line 3: [budgets.team]: unknown member 'monthly'; did you mean 'monthly_usd'?"
    )


@pytest.mark.req("R-TIER-006")
def test_the_quota_of_the_test_mode_is_every_keys_own():
    rule = quota_of_test_mode(Decimal(1000))
    assert (rule.each, rule.monthly, rule.source) == ("key", 10**15, "mode")


# --- stretches of time


@pytest.mark.req("R10")
@pytest.mark.parametrize(
    ("at", "day", "month", "day_ends", "month_ends"),
    [
        (1_767_225_599.9, 20453, 20423, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        (1_767_225_600.0, 20454, 20454, "2026-01-02T00:00:00Z", "2026-02-01T00:00:00Z"),
        (1_709_164_800.0, 19782, 19754, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        (1_709_251_200.0, 19783, 19783, "2024-03-02T00:00:00Z", "2024-04-01T00:00:00Z"),
    ],
)
def test_stretches_begin_and_end_at_midnight_utc(at, day, month, day_ends, month_ends):
    pots = pots_of((("b", "s"),), at)
    assert [pot.since for pot in pots] == [day, month, 0]
    ends = [ends_at(pot) for pot in pots]
    assert ends[2] is None
    assert [time_of(end) for end in ends[:2] if end is not None] == [day_ends, month_ends]


@given(st.floats(0, 4e9))
def test_a_moment_lies_in_its_stretch(at):
    for span in ("day", "month"):
        since = since_of(span, at)
        end = ends_at(Pot("b", "", span, since))
        assert end is not None
        assert since * 86_400 <= at < end


# --- shorter answers


def clamped(dialect, body, *, newer=False):
    provider = Provider("p", "chat", "http://p.test", {})
    first = Candidate(provider, "m", capability=Capability(reasons_by_default=newer))
    ask = read_ask(msgspec.json.encode({"model": "m", **body}))
    changed, told = bounded_to(ask, 77, dialect, first)
    found = msgspec.json.decode(changed.body)
    assert {name: msgspec.json.decode(raw) for name, raw in changed.members.items()} == found
    del found["model"]
    return found, told


@pytest.mark.req("D27")
@pytest.mark.parametrize(
    ("dialect", "body", "becomes", "told"),
    [
        ("chat", {}, {"max_tokens": 77}, "max_tokens=77"),
        ("chat", {"max_tokens": 500}, {"max_tokens": 77}, "max_tokens=77"),
        (
            "chat", {"max_tokens": 5, "max_completion_tokens": 500},
            {"max_tokens": 77, "max_completion_tokens": 77}, "max_completion_tokens=77",
        ),
        ("responses", {"input": "x"}, {"input": "x", "max_output_tokens": 77}, "max_output_tokens=77"),
        ("anthropic", {"max_tokens": 500}, {"max_tokens": 77}, "max_tokens=77"),
        ("completions", {}, {"max_tokens": 77}, "max_tokens=77"),
        (
            "gemini", {"generation_config": {"top_k": 3}},
            {"generation_config": {"top_k": 3, "maxOutputTokens": 77}},
            "generation_config.maxOutputTokens=77",
        ),
        (
            "gemini", {"generationConfig": {"max_output_tokens": 3}},
            {"generationConfig": {"max_output_tokens": 77}}, "generationConfig.max_output_tokens=77",
        ),
        ("ollama", {"options": None}, {"options": {"num_predict": 77}}, "options.num_predict=77"),
        ("generate", {}, {"options": {"num_predict": 77}}, "options.num_predict=77"),
    ],
)  # fmt: skip
def test_an_answer_is_bounded_in_its_dialects_words(dialect, body, becomes, told):
    assert clamped(dialect, body) == (becomes, told)


def test_newer_models_know_the_bound_by_another_name():
    assert clamped("chat", {}, newer=True)[0] == {"max_completion_tokens": 77}


def test_a_member_that_holds_no_bound_is_refused():
    with pytest.raises(CallerError, match="options must be an object"):
        clamped("ollama", {"options": 7})


NAMES = st.text(st.characters(), min_size=1, max_size=300)
"""Lone surrogates and NUL as well."""


@given(NAMES, NAMES, NAMES, st.sampled_from(["", "tenant", "project", "user"]))
def test_whose_part_it_is_can_be_written_down_as_it_is(tenant, project, user, each):
    payers = payment([Rule("all", each=each)], Caller("k1", tenant, project=project), user).payers
    assert [tuple(map(fit, payer)) for payer in payers] == [tuple(payer) for payer in payers]


def test_budgets_that_stand_in_place_of_one_another_all_count():
    ring = (Rule("a", instead_of="b"), Rule("b", instead_of="c"), Rule("c", instead_of="a"))
    assert payment(ring, ACME, "").rules == ring
    itself = (Rule("a", instead_of="a"), Rule("b"))
    assert payment(itself, ACME, "").rules == itself
    chain = (Rule("a"), Rule("b", instead_of="a"), Rule("c", instead_of="b"))
    assert payment(chain, ACME, "").rules == chain[2:]
    beside = (*ring, Rule("d", instead_of="a"), Rule("e", instead_of="d"))
    assert payment(beside, ACME, "").rules == (*ring, beside[4])
