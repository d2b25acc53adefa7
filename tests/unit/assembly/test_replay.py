"""What the last calls would have met under another configuration."""

from decimal import Decimal

import pytest

from dragoman.accounting.entry import Consumed, RequestRow
from dragoman.assembly.assemble import assemble
from dragoman.assembly.replay import Replay, sorted_groups
from dragoman.config.load import load_settings, parse_config

ENV = {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
MINI, LLAMA = "openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"
_CONSUMED = Consumed.__struct_fields__
ONE = f'[aliases]\nfast = "{MINI}"\n'


def assembly(text):
    settings = load_settings({"mode": "local"}, text=text, table=parse_config(text, "x.toml"))
    return assemble(settings, ENV)


def call(requested="fast", served=MINI, number=0, **members):
    provider, _, model = served.partition("/") if served else (None, "", None)
    told = {
        "call_id": f"0193f2c4-0000-7000-8000-{number:012}",
        "created_us": 1_760_000_000_000_000,
        "caller": "me",
        "dialect": "chat",
        "operation": "chat",
        "requested_model": requested,
        "provider": provider,
        "model": model,
        "status": "complete",
        "http_status": 200,
        "stream": False,
        "attempts": 1,
    }
    used = {"input_tokens": 1_000_000, "output_tokens": 0, "cost_pico": 150_000_000_000}
    used |= {name: members.pop(name) for name in list(members) if name in _CONSUMED}
    consumed = Consumed(**dict.fromkeys(_CONSUMED) | used)
    names = RequestRow.__struct_fields__
    return RequestRow(**dict.fromkeys(names) | told | {"consumed": consumed} | members)


def fates(before, after, *calls):
    replay = Replay(assembly(before), assembly(after))
    replay.feed(calls)
    found = {effect: number for effect, number in replay.totals().items() if number}
    return found, sorted_groups(replay)


def test_nothing_is_different_under_the_same_file():
    strategies = "".join(
        f'[routes.{name}]\nstrategy = "{name}"\ncandidates = ["{MINI}", "{LLAMA}"]\n'
        for name in ("weighted", "round-robin", "sticky", "cost", "latency", "quality")
    )
    calls = [
        call(name, number=number)
        for number in range(20)
        for name in ("fast", "auto", "weighted", "round-robin", "sticky", "cost", "latency")
    ]
    text = ONE + strategies
    assert fates(text, text, *calls) == ({"same": 140}, [])


def test_another_model_is_priced_by_the_tokens_of_the_call():
    found, (group,) = fates(ONE, ONE.replace(MINI, LLAMA), call(), call(number=1))
    assert found == {"rerouted": 2}
    assert (group.before, group.after, group.calls) == (MINI, LLAMA, 2)
    assert (group.cost_before, group.cost_after) == (Decimal("0.3"), Decimal("1.18"))


def test_a_second_candidate_changes_the_fallback_alone():
    two = f'[aliases]\nfast = ["{MINI}", "{LLAMA}"]\n'
    found, (group,) = fates(ONE, two, call(input_tokens=1000))
    assert found == {"fallback": 1}
    assert group.cost_before == group.cost_after


@pytest.mark.parametrize(
    ("past", "fate"),
    [
        (call(served=None, status="refused", cost_pico=None), "same"),
        (call("no-such", None, status="refused", cost_pico=None), "same"),
        (call("gone", "corp/m"), "unknown"),
        (call(dialect="esperanto"), "unknown"),
        (call(cost_pico=None), "same"),
    ],
)
def test_what_is_not_in_the_file_is_the_same_on_both_sides(past, fate):
    assert fates(ONE, ONE, past)[0] == {fate: 1}


def test_what_has_served_is_known_on_both_sides():
    named = call("openai/of-tomorrow", "openai/of-tomorrow")
    bare = call("of-tomorrow", "openai/of-tomorrow", number=1)
    assert fates(ONE, ONE, named, bare)[0] == {"same": 2}


def test_calls_of_unknown_cost_are_in_neither_sum():
    _, (group,) = fates(ONE, ONE.replace(MINI, "openai/of-tomorrow"), call())
    assert (group.unpriced, group.cost_before, group.cost_after) == (1, 0, 0)
