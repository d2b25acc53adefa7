"""The rest of a request on its way to Anthropic: bounds, sampling, thinking, the answer's form."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import CacheMark, Message, Text, Thinking, ToolCall, ToolResult
from dragoman.core.provider import Quirks
from dragoman.core.request import (
    FunctionTool,
    Output,
    Reasoning,
    Request,
    Sampling,
    ToolChoice,
)
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.write_reasoning import nearest_effort
from dragoman.dialects.base import Outgoing, Target

HI = (Message("user", (Text("Hi"),)),)
SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}')


def write(capability=None, reserved=4096, quirks=None, **members) -> Outgoing:
    members.setdefault("messages", HI)
    members.setdefault("max_tokens", 100)
    target = Target(
        "anthropic",
        "m",
        capability=capability or Capability(),
        reserved_output=reserved,
        quirks=quirks or Quirks(),
    )
    return ANTHROPIC.write_request(Request("m", **members), target)


def body(*args, **members):
    return json.loads(write(*args, **members).body)


def lost(written: Outgoing):
    return {loss.path: loss.action for loss in written.losses}


def refused(**members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        write(**members)
    assert caught.value.status == 400
    return caught.value


# --------------------------------------------------------------------------- the bound


@pytest.mark.pitfall(109)
def test_a_bound_that_the_caller_left_open_is_the_reserved_one_and_told():
    written = write(max_tokens=None, reserved=777)
    assert json.loads(written.body)["max_tokens"] == 777
    assert written.adjusted == ("max_tokens=777",)
    assert written.losses == ()
    capped = write(Capability(max_output_tokens=500), max_tokens=None, reserved=777)
    assert capped.adjusted == ("max_tokens=500",)


@pytest.mark.pitfall(109)
def test_a_bound_above_the_models_maximum_is_lowered_and_told():
    written = write(Capability(max_output_tokens=50), max_tokens=100)
    assert json.loads(written.body)["max_tokens"] == 50
    assert lost(written) == {"max_tokens": "changed"}
    assert body(Capability(max_output_tokens=200))["max_tokens"] == 100


@pytest.mark.pitfall(170)
def test_a_prewarm_stays_one():
    assert body(max_tokens=0)["max_tokens"] == 0


def test_a_stream_is_asked_for_only_if_it_is_wanted():
    assert body(stream=True)["stream"] is True
    assert "stream" not in body()


# --------------------------------------------------------------------------- sampling


@pytest.mark.pitfall(112)
def test_sampling_goes_as_far_as_the_model_has_it():
    sampling = Sampling(temperature=1.7, top_p=0.9, top_k=4)
    written = write(sampling=sampling)
    sent = json.loads(written.body)
    assert (sent["temperature"], sent["top_p"], sent["top_k"]) == (1.0, 0.9, 4)
    assert lost(written) == {"temperature": "changed"}
    written = write(Capability(temperature_xor_top_p=True), sampling=sampling)
    assert "top_p" not in json.loads(written.body)
    assert lost(written)["top_p"] == "dropped"
    only = write(Capability(temperature_xor_top_p=True), sampling=Sampling(top_p=0.9))
    assert only.losses == ()
    written = write(Capability(rejects_sampling=True), sampling=sampling)
    assert lost(written) == dict.fromkeys(("temperature", "top_p", "top_k"), "dropped")


@pytest.mark.pitfall(106)
def test_sampling_rests_while_the_model_thinks():
    thinks = {"reasoning": Reasoning("enabled", budget=1024), "max_tokens": 2000}
    capability = Capability(thinking="budget")
    written = write(capability, sampling=Sampling(temperature=0.5, top_p=0.9), **thinks)
    assert lost(written) == {"temperature": "dropped", "top_p": "dropped"}
    sent = body(capability, sampling=Sampling(temperature=1), **thinks)
    assert sent["temperature"] == 1


@pytest.mark.pitfall(113)
def test_stop_sequences_of_white_space_are_left_out():
    written = write(sampling=Sampling(stop=("END", "\n", "")))
    assert json.loads(written.body)["stop_sequences"] == ["END"]
    assert lost(written) == {"stop": "dropped"}
    assert "stop_sequences" not in body(sampling=Sampling(stop=(" ",)))


@pytest.mark.pitfall(116, 117, 118)
@pytest.mark.parametrize(
    "name",
    [
        "min_p",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
    ],
)
def test_sampling_that_anthropic_does_not_have_is_told_as_lost(name):
    said = {"logit_bias": {"5": 1.0}, "logprobs": True}.get(name, 1)
    assert lost(write(sampling=Sampling(**{name: said}))) == {name: "dropped"}


@pytest.mark.pitfall(115)
def test_several_answers_are_refused():
    assert refused(sampling=Sampling(n=2)).param == "n"
    assert write(sampling=Sampling(n=1)).losses == ()


# --------------------------------------------------------------------------- thinking


@pytest.mark.pitfall(105)
def test_a_budget_raises_the_bound_above_it():
    written = write(Capability(thinking="budget"), reasoning=Reasoning(effort="low"))
    sent = json.loads(written.body)
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert sent["max_tokens"] == 2148
    assert written.adjusted == ("max_tokens=2148",)
    assert lost(written) == {"max_tokens": "changed"}
    open_bound = write(
        Capability(thinking="budget"), 1000, reasoning=Reasoning(effort="low"), max_tokens=None
    )
    assert open_bound.adjusted == ("max_tokens=3048",)
    assert open_bound.losses == ()


@pytest.mark.pitfall(105)
def test_a_budget_gives_way_to_the_models_maximum():
    capability = Capability(thinking="budget", max_output_tokens=8000)
    sent = body(capability, reasoning=Reasoning(effort="high"), max_tokens=500)
    assert sent["max_tokens"] == 8000
    assert sent["thinking"]["budget_tokens"] == 7500
    tiny = write(
        Capability(thinking="budget", max_output_tokens=1200),
        reasoning=Reasoning(effort="high"),
        max_tokens=500,
    )
    assert "thinking" not in json.loads(tiny.body)
    assert json.loads(tiny.body)["max_tokens"] == 500
    assert lost(tiny) == {"reasoning_effort": "dropped"}


@pytest.mark.pitfall(105, 107)
def test_a_budget_is_at_least_what_anthropic_takes():
    capability = Capability(thinking="budget")
    written = write(capability, reasoning=Reasoning("enabled", budget=5), max_tokens=5000)
    assert json.loads(written.body)["thinking"]["budget_tokens"] == 1024
    assert lost(written) == {"reasoning.max_tokens": "changed"}
    quiet = write(capability, reasoning=Reasoning("enabled", effort="none"), max_tokens=5000)
    assert json.loads(quiet.body)["thinking"]["budget_tokens"] == 1024
    assert quiet.losses == ()


@pytest.mark.pitfall(107, 172, 173)
@pytest.mark.parametrize(
    ("thinking", "wish", "sent", "effort"),
    [
        ("adaptive", Reasoning(effort="high"), {"type": "adaptive"}, "high"),
        ("adaptive", Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
        ("adaptive", Reasoning("enabled", budget=9000), {"type": "adaptive"}, "high"),
        ("both", Reasoning(effort="low"), {"type": "adaptive"}, "low"),
        ("both", Reasoning("adaptive", budget=2000), {"type": "adaptive"}, "low"),
        (
            "both",
            Reasoning("enabled", budget=2000),
            {"type": "enabled", "budget_tokens": 2000},
            None,
        ),
        ("both", Reasoning("enabled"), {"type": "adaptive"}, None),
        ("budget", Reasoning("adaptive"), {"type": "enabled", "budget_tokens": 8192}, None),
        ("budget", Reasoning(effort="minimal"), {"type": "enabled", "budget_tokens": 1024}, None),
        ("budget", Reasoning("disabled"), {"type": "disabled"}, None),
        ("both", Reasoning(effort="none"), {"type": "disabled"}, None),
        ("none", Reasoning(effort="none"), None, None),
        ("none", Reasoning(effort="high"), None, None),
        ("both", Reasoning(), None, None),
        (
            "adaptive",
            Reasoning("adaptive", visibility="hidden"),
            {"type": "adaptive", "display": "omitted"},
            None,
        ),
    ],
)
def test_a_wish_to_think_in_the_words_of_the_model(thinking, wish, sent, effort):
    found = body(Capability(thinking=thinking), reasoning=wish, max_tokens=20_000)
    assert found.get("thinking") == sent
    assert found.get("output_config", {}).get("effort") == effort


def test_thinking_of_a_model_without_any_is_told_as_lost():
    assert lost(write(reasoning=Reasoning(effort="high"))) == {"reasoning_effort": "dropped"}


@pytest.mark.pitfall(173)
def test_an_effort_that_the_model_does_not_know_becomes_the_next_one():
    known = Capability(thinking="adaptive", efforts=("low", "medium", "high", "max"))
    assert body(known, reasoning=Reasoning(effort="xhigh"))["output_config"] == {"effort": "max"}
    few = Capability(thinking="adaptive", efforts=("low", "high"))
    written = write(few, reasoning=Reasoning(effort="max"))
    assert json.loads(written.body)["output_config"] == {"effort": "high"}
    assert lost(written) == {"reasoning_effort": "changed"}


@pytest.mark.pitfall(172)
def test_without_thinking_the_effort_is_at_most_high_where_the_model_says_so():
    strict = Capability(thinking="both", rejects_disabled_above_high=True)
    written = write(strict, reasoning=Reasoning("disabled", effort="max"))
    assert json.loads(written.body)["output_config"] == {"effort": "high"}
    assert lost(written) == {"output_config.effort": "changed"}
    assert body(strict, reasoning=Reasoning("disabled", effort="low"))["output_config"] == {
        "effort": "low"
    }


def test_an_effort_beside_a_budget_is_kept_where_the_model_knows_it():
    wish = Reasoning("enabled", budget=2000, effort="low")
    knows = Capability(thinking="budget", efforts=("low", "high"))
    assert body(knows, reasoning=wish, max_tokens=5000)["output_config"] == {"effort": "low"}
    assert "output_config" not in body(
        Capability(thinking="budget"), reasoning=wish, max_tokens=5000
    )


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(1, "low"), (2048, "low"), (2049, "medium"), (40_000, "max"), (99_999, "max")],
)
def test_the_effort_of_a_budget(budget, effort):
    assert nearest_effort(budget) == effort


def loop(*thoughts):
    return (
        *HI,
        Message("assistant", (*thoughts, ToolCall("a", "f", "{}"))),
        Message("user", (ToolResult("a", (Text("1"),)),)),
    )


@pytest.mark.pitfall(95)
def test_thinking_is_switched_off_for_a_tool_loop_that_lost_its_thoughts():
    capability = Capability(thinking="budget")
    wish = Reasoning("enabled", budget=1024)
    tools = (FunctionTool("f"),)
    written = write(capability, messages=loop(), reasoning=wish, tools=tools, max_tokens=5000)
    assert json.loads(written.body)["thinking"] == {"type": "disabled"}
    assert lost(written) == {"reasoning_effort": "dropped"}
    kept = Thinking("hm", signature="s", family="anthropic")
    sent = body(capability, messages=loop(kept), reasoning=wish, tools=tools, max_tokens=5000)
    assert sent["thinking"]["type"] == "enabled"
    adaptive = body(Capability(thinking="adaptive"), messages=loop(), reasoning=wish, tools=tools)
    assert adaptive["thinking"]["type"] == "adaptive"


def test_a_kind_of_thinking_without_a_canonical_word_goes_back_as_it_came():
    ext = {"anthropic": {"thinking": Raw(b'{"type":"between_tools"}')}}
    sent = body(reasoning=Reasoning("enabled", effort="high"), ext=ext)
    assert sent["thinking"] == {"type": "between_tools"}
    assert sent["output_config"] == {"effort": "high"}


# --------------------------------------------------------------------------- the answer's form


@pytest.mark.pitfall(61)
def test_a_schema_is_enforced_by_the_model_itself():
    written = write(
        output=Output("json_schema", SCHEMA, schema_name="n", schema_description="d", strict=True)
    )
    form = json.loads(written.body)["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["title"] == "n"
    assert form["schema"]["description"] == "d"
    assert form["schema"]["additionalProperties"] is False
    assert lost(written) == {"response_format.json_schema.schema": "changed"}


@pytest.mark.pitfall(64)
def test_a_schema_is_a_forced_tool_where_the_model_has_none():
    capability = Capability(structured_output="tool")
    written = write(capability, output=Output("json_schema", SCHEMA))
    sent = json.loads(written.body)
    assert sent["tool_choice"] == {
        "type": "tool",
        "name": "json_response",
        "disable_parallel_tool_use": True,
    }
    assert sent["tools"][0]["input_schema"] == json.loads(bytes(SCHEMA))
    assert written.undo.json_tool == "json_response"
    beside = write(
        capability,
        output=Output("json_schema", SCHEMA, schema_description="d"),
        tools=(FunctionTool("json_response"),),
    )
    sent = json.loads(beside.body)
    assert sent["tool_choice"]["type"] == "any"
    assert beside.undo.json_tool == "json_response_"
    assert sent["tools"][1]["description"] == "d"
    alone = body(
        capability,
        output=Output("json_schema", SCHEMA),
        tools=(FunctionTool("f"),),
        tool_choice=ToolChoice("none"),
    )
    assert alone["tool_choice"]["name"] == "json_response"


@pytest.mark.pitfall(64)
@pytest.mark.parametrize(
    ("capability", "schema"),
    [
        (Capability(structured_output="none"), SCHEMA),
        (Capability(structured_output="tool", forced_tools=False), SCHEMA),
        (Capability(structured_output="tool"), Raw(b'{"type":"array"}')),
    ],
)
def test_a_schema_is_an_instruction_where_nothing_enforces_it(capability, schema):
    written = write(capability, output=Output("json_schema", schema), system=(Text("s"),))
    system = json.loads(written.body)["system"]
    assert system[0]["text"] == "s"
    assert bytes(schema).decode() in system[1]["text"]
    assert lost(written) == {"response_format": "emulated"}


def test_json_without_a_schema_is_an_instruction():
    written = write(output=Output("json"))
    assert "JSON" in json.loads(written.body)["system"]
    assert lost(written) == {"response_format": "emulated"}


@pytest.mark.parametrize("schema", [None, Raw(b"null"), Raw(b"[]"), Raw(b'"x"')])
def test_a_schema_that_is_none_is_refused(schema):
    assert "schema" in (refused(output=Output("json_schema", schema)).param or "")


def test_an_answer_in_sound_is_refused():
    assert refused(output=Output(modalities=("text", "audio"))).param == "modalities"
    assert write(output=Output(modalities=("text",))).losses == ()


# --------------------------------------------------------------------------- the rest


@pytest.mark.req("R-ADD-016")
@pytest.mark.pitfall(120)
def test_whose_request_it_is():
    assert body(end_user="u")["metadata"] == {"user_id": "u"}
    assert body(safety_id="s")["metadata"] == {"user_id": "s"}
    both = write(end_user="u", safety_id="s", metadata={"a": "b"})
    assert json.loads(both.body)["metadata"] == {"user_id": "u"}
    assert lost(both) == {"safety_identifier": "dropped", "metadata": "dropped"}
    ext = {"anthropic": {"metadata": Raw(b'{"team":"x"}')}}
    assert body(end_user="u", ext=ext)["metadata"] == {"user_id": "u", "team": "x"}


@pytest.mark.pitfall(119)
@pytest.mark.parametrize(
    ("tier", "sent", "action"),
    [
        ("auto", "auto", None),
        ("default", "standard_only", None),
        ("priority", "auto", "changed"),
        ("flex", None, "dropped"),
    ],
)
def test_service_tiers(tier, sent, action):
    written = write(service_tier=tier)
    assert json.loads(written.body).get("service_tier") == sent
    assert lost(written).get("service_tier") == action


def test_bookkeeping_that_anthropic_does_not_have_is_told_as_lost():
    written = write(
        store=True,
        prediction=Raw(b"{}"),
        cache_key="k",
        cache_retention="24h",
        output=Output(verbosity="low"),
        ext={"chat": {"odd": Raw(b"1")}},
    )
    assert set(lost(written)) == {
        "store",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "verbosity",
        "odd",
    }
    assert write(store=False).losses == ()


@pytest.mark.pitfall(65)
def test_members_whose_absence_would_change_the_answer_are_refused():
    blocks = Raw(b'{"model":"x","policy":"block"}')
    assert refused(ext={"chat": {"moderation": blocks}}).param == "moderation"
    for reports in (b"null", b'{"model":"x"}'):
        found = lost(write(ext={"chat": {"moderation": Raw(reports)}}))
        assert found == {"moderation": "dropped"}
    assert body(ext={"anthropic": {"mcp_servers": Raw(b"[1]")}})["mcp_servers"] == [1]


def test_its_own_members_go_back():
    ext = {"anthropic": {"container": Raw(b'"c"'), "output_config": Raw(b'{"task_budget":1}')}}
    sent = body(ext=ext, cache=CacheMark())
    assert sent["container"] == "c"
    assert sent["output_config"] == {"task_budget": 1}
    assert sent["cache_control"] == {"type": "ephemeral"}


def test_a_providers_declared_differences_hold():
    quirks = Quirks(drop=("top_k", "seed"), rename={"max_tokens": "max_output", "stream": "sse"})
    written = write(quirks=quirks, sampling=Sampling(top_k=4))
    sent = json.loads(written.body)
    assert "top_k" not in sent
    assert sent["max_output"] == 100
    assert lost(written) == {"top_k": "dropped"}


def test_writing_twice_is_writing_once():
    request = Request("m", loop(), tools=(FunctionTool("f"),), reasoning=Reasoning(effort="low"))
    target = Target("anthropic", "m", capability=Capability(thinking="budget"))
    assert ANTHROPIC.write_request(request, target) == ANTHROPIC.write_request(request, target)


def test_a_schema_nested_beyond_reason_is_refused():
    depth = 40000
    deep = b'{"type":"object","properties":{"a":' * depth + b"{}" + b"}}" * depth
    assert refused(output=Output("json_schema", Raw(deep))).status == 400
