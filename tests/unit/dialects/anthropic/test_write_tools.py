"""Tools and the choice among them on their way to Anthropic."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import CacheMark, Message, Text, ToolCall, ToolResult
from dragoman.core.request import (
    CustomTool,
    FunctionTool,
    HostedTool,
    Reasoning,
    Request,
    ToolChoice,
)
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Outgoing, Target

HI = (Message("user", (Text("Hi"),)),)
F, G = FunctionTool("f"), FunctionTool("g")
CALLED = (
    *HI,
    Message("assistant", (ToolCall("a", "f", "{}"),)),
    Message("user", (ToolResult("a", (Text("1"),)),)),
)


def write(*tools, capability=None, **members) -> Outgoing:
    members.setdefault("messages", HI)
    members.setdefault("max_tokens", 9000)
    target = Target("anthropic", "m", capability=capability or Capability())
    return ANTHROPIC.write_request(Request("m", tools=tools, **members), target)


def body(*tools, **members):
    return json.loads(write(*tools, **members).body)


def refused(*tools, **members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        write(*tools, **members)
    return caught.value


@pytest.mark.req("R-TOOL-001", "R-XLATE-009")
def test_a_function_keeps_name_description_schema_mark_and_members():
    schema = Raw(b'{"type":"object", "properties": {"b":{},"a":{}}}')
    tool = FunctionTool(
        "f",
        "does",
        schema,
        cache=CacheMark("5m"),
        ext={"anthropic": {"defer_loading": Raw(b"true")}, "chat": {"x": Raw(b"1")}},
    )
    written = write(tool, G)
    assert bytes(schema) in written.body
    assert json.loads(written.body)["tools"] == [
        {
            "name": "f",
            "description": "does",
            "input_schema": json.loads(bytes(schema)),
            "defer_loading": True,
            "cache_control": {"type": "ephemeral", "ttl": "5m"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]


@pytest.mark.pitfall(58)
def test_two_tools_of_one_name_are_refused():
    assert refused(F, F).param == "tools[1]"


@pytest.mark.pitfall(57)
def test_a_name_that_anthropic_refuses_is_renamed_everywhere_and_undone():
    name = "über.tool/" + "x" * 150
    written = write(
        FunctionTool(name),
        messages=(
            *HI,
            Message("assistant", (ToolCall("a", name, "{}"),)),
            Message("user", (ToolResult("a", (Text("1"),)),)),
        ),
        tool_choice=ToolChoice("named", (name,)),
    )
    sent = json.loads(written.body)
    new = sent["tools"][0]["name"]
    assert len(new) == 128
    assert new.replace("_", "").isalnum()
    assert new.isascii()
    assert sent["messages"][1]["content"][0]["name"] == new
    assert sent["tool_choice"]["name"] == new
    assert written.undo.tool_names == {new: name}


@pytest.mark.pitfall(62)
def test_strict_tools_are_enforced_where_the_model_can_and_told_where_not():
    schema = Raw(b'{"type":"object","properties":{"a":{"type":"string","minLength":2}}}')
    written = write(FunctionTool("f", schema=schema, strict=True))
    tool = json.loads(written.body)["tools"][0]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert [loss.reason for loss in written.losses] == ["keywords_moved_to_description"]
    plain = write(FunctionTool("f", schema=Raw(b'{"type":"object","properties":{}}'), strict=True))
    assert plain.losses == ()
    weak = write(
        FunctionTool("f", schema=schema, strict=True),
        capability=Capability(structured_output="tool"),
    )
    assert "strict" not in json.loads(weak.body)["tools"][0]
    assert [loss.path for loss in weak.losses] == ["tools[0].strict"]
    assert write(FunctionTool("f", strict=False)).losses == ()


@pytest.mark.pitfall(59)
def test_parameters_that_choose_among_schemas_are_merged_and_told():
    schema = Raw(b'{"anyOf":[{"type":"object","properties":{"a":{}}}]}')
    written = write(FunctionTool("f", schema=schema))
    assert json.loads(written.body)["tools"][0]["input_schema"]["type"] == "object"
    assert [(loss.path, loss.action) for loss in written.losses] == [
        ("tools[0].parameters", "changed")
    ]


@pytest.mark.req("R-TOOL-002")
def test_parameters_that_are_no_schema_are_refused():
    error = refused(FunctionTool("f", schema=Raw(b"[1]")))
    assert (error.param, error.code) == ("tools[0].parameters", "tool_schema_invalid")


def test_a_model_without_tools_is_not_given_any():
    error = refused(F, capability=Capability(tools=False))
    assert (error.param, error.code) == ("tools", "model_capability_mismatch")


@pytest.mark.pitfall(67)
def test_a_free_text_tool_is_a_function_of_one_text():
    written = write(CustomTool("run", "Runs it"), CustomTool("bare"))
    tool, bare = json.loads(written.body)["tools"]
    assert tool["description"] == "Runs it"
    assert tool["input_schema"]["required"] == ["input"]
    assert "description" not in bare
    assert written.undo.custom_tools == {"run", "bare"}
    assert written.losses == ()


@pytest.mark.pitfall(67)
@pytest.mark.parametrize(
    "form",
    [
        b'{"type":"grammar","grammar":{"definition":"start: x","syntax":"lark"}}',
        b'{"type":"grammar","definition":"start: x","syntax":"lark"}',
    ],
)
def test_a_grammar_is_told_to_the_model(form):
    written = write(CustomTool("run", format=Raw(form)))
    description = json.loads(written.body)["tools"][0]["description"]
    assert "lark" in description
    assert "start: x" in description
    assert [loss.action for loss in written.losses] == ["emulated"]
    assert write(CustomTool("run", format=Raw(b'{"type":"text"}'))).losses == ()
    assert refused(CustomTool("run", format=Raw(b"[]"))).param == "tools[0].format"


@pytest.mark.pitfall(65)
def test_tools_that_a_provider_runs_exist_at_that_provider_only():
    hosted = HostedTool("anthropic", "web_search_20250305", Raw(b'{"type":"web_search_20250305"}'))
    assert body(hosted, F)["tools"][0] == {"type": "web_search_20250305"}
    error = refused(HostedTool("chat", "web_search_options", Raw(b"{}")))
    assert (error.param, error.code) == ("tools[0]", "unsupported_feature")


@pytest.mark.req("R-XLATE-010")
@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (ToolChoice("auto"), {"type": "auto"}),
        (ToolChoice("none"), {"type": "none"}),
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("named", ("g",)), {"type": "tool", "name": "g"}),
    ],
)
def test_the_choice_among_tools(choice, sent):
    written = write(F, G, tool_choice=choice)
    assert json.loads(written.body).get("tool_choice") == sent
    assert written.losses == ()


@pytest.mark.parametrize(("required", "sent"), [(True, "any"), (False, "auto")])
def test_a_choice_of_some_tools_offers_only_these(required, sent):
    hosted = HostedTool("anthropic", "x", Raw(b'{"type":"x"}'))
    written = write(F, hosted, G, tool_choice=ToolChoice("allowed", ("g",), required=required))
    found = json.loads(written.body)
    assert [tool["name"] for tool in found["tools"]] == ["g"]
    assert found["tool_choice"] == {"type": sent}
    assert [loss.action for loss in written.losses] == ["emulated"]


@pytest.mark.pitfall(171)
def test_a_model_that_cannot_be_forced_is_offered_only_the_named_tool():
    capability = Capability(forced_tools=False)
    written = write(F, G, tool_choice=ToolChoice("named", ("g",)), capability=capability)
    found = json.loads(written.body)
    assert [tool["name"] for tool in found["tools"]] == ["g"]
    assert found["tool_choice"] == {"type": "auto"}
    written = write(F, G, tool_choice=ToolChoice("required"), capability=capability)
    assert len(json.loads(written.body)["tools"]) == 2
    assert [loss.reason for loss in written.losses] == ["model_cannot_be_forced"]


@pytest.mark.pitfall(56, 171)
def test_thinking_with_a_budget_goes_with_no_forced_tool_and_adaptive_thinking_does():
    wish = Reasoning("enabled", budget=1024)
    choice = ToolChoice("required")
    budget = write(F, tool_choice=choice, reasoning=wish, capability=Capability(thinking="budget"))
    assert json.loads(budget.body)["tool_choice"] == {"type": "auto"}
    assert [loss.reason for loss in budget.losses] == ["cannot_be_forced_while_thinking"]
    adaptive = body(
        F, tool_choice=choice, reasoning=wish, capability=Capability(thinking="adaptive")
    )
    assert adaptive["tool_choice"] == {"type": "any"}


@pytest.mark.req("R-TOOL-002")
def test_parallel_calls_are_switched_off_in_the_choice():
    assert body(F, parallel_tools=False)["tool_choice"] == {
        "type": "auto",
        "disable_parallel_tool_use": True,
    }
    forced = body(F, parallel_tools=False, tool_choice=ToolChoice("required"))
    assert forced["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    allowed = body(F, parallel_tools=True, tool_choice=ToolChoice("auto"))
    assert allowed["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": False}
    assert "tool_choice" not in body(F, parallel_tools=True)
    assert body(F, parallel_tools=False, tool_choice=ToolChoice("none"))["tool_choice"] == {
        "type": "none"
    }


@pytest.mark.pitfall(54)
def test_without_tools_there_is_nothing_to_choose():
    written = write(tool_choice=ToolChoice("required"), parallel_tools=False)
    assert "tool_choice" not in json.loads(written.body)
    assert [loss.path for loss in written.losses] == ["tool_choice"]
    assert write(tool_choice=ToolChoice("none")).losses == ()


@pytest.mark.pitfall(55)
def test_a_history_of_calls_names_its_tools_and_switches_them_off():
    written = write(messages=CALLED)
    found = json.loads(written.body)
    assert found["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]
    assert found["tool_choice"] == {"type": "none"}
    assert [loss.action for loss in written.losses] == ["emulated"]
    kept = body(F, messages=CALLED, tool_choice=ToolChoice("none"))
    assert (len(kept["tools"]), kept["tool_choice"]) == (1, {"type": "none"})
