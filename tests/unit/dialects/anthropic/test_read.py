"""A caller's Messages request in canonical words."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    FileRef,
    Inline,
    Media,
    Opaque,
    PartsDoc,
    SearchResult,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.request import FunctionTool, HostedTool, Request, ToolChoice
from dragoman.dialects.anthropic import ANTHROPIC, read_count_request

PNG = "iVBORw0KGgo="


def read(**members) -> Request:
    body = {"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    return ANTHROPIC.read_request(json.dumps({**body, **members}).encode())


def parts(*blocks, role="user"):
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def refusal(**members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        read(**members)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.req("R-XLATE-001", "R-XLATE-003")
def test_a_string_is_one_text_and_what_is_no_object_says_nothing():
    assert read().messages[0].parts == (Text("Hi"),)
    assert parts({"type": "text", "text": "a"}, "b", 3, None) == (Text("a"),)


@pytest.mark.req("R-XLATE-002")
def test_system_is_a_string_or_blocks_with_their_cache_marks():
    assert read(system="Be brief").system == (Text("Be brief"),)
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert read(system=[marked]).system == (Text("x", cache=CacheMark("1h")),)
    assert read(system=None).system == ()
    later = read(messages=[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])
    assert later.messages[1].role == "system"


@pytest.mark.req("R-XLATE-005")
@pytest.mark.pitfall(27, 28, 34)
def test_a_call_keeps_its_id_and_the_tokens_of_its_input():
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use",'
        b'"id":"toolu_1","name":"f","input":{ "b" : 1.0, "a": 12345678901234567890, "u":"\xc3\xa9" }}]}]}'
    )
    call = ANTHROPIC.read_request(body).messages[0].parts[0]
    assert call == ToolCall("toolu_1", "f", '{"b":1.0,"a":12345678901234567890,"u":"é"}')
    assert parts({"type": "tool_use", "id": "i", "name": "f"}, role="assistant") == (
        ToolCall("i", "f", "{}"),
    )


@pytest.mark.req("R-XLATE-005")
def test_a_call_without_id_and_name_gets_both_and_always_the_same_ones():
    block = {"type": "tool_use", "input": {"a": 1}}
    (first,), (again,) = parts(block, role="assistant"), parts(block, role="assistant")
    assert first == again
    assert first.name == "tool"
    assert len(first.id) == len("call_") + 32
    assert first.id.startswith("call_")
    one, two = parts(block, block, role="assistant")
    assert one.id != two.id


@pytest.mark.req("R-XLATE-006", "R-XLATE-008")
def test_results_are_parts_of_the_user_message_with_all_they_hold():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    found = parts(
        {"type": "tool_result", "tool_use_id": "a", "content": "12"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": [image]},
        {"type": "tool_result"},
        {"type": "text", "text": "So?"},
    )
    assert found == (
        ToolResult("a", (Text("12"),)),
        ToolResult("b", (Media("image", Inline(PNG, "image/png")),), is_error=True),
        ToolResult(""),
        Text("So?"),
    )


@pytest.mark.req("R-XLATE-009")
def test_tools_are_functions_and_those_of_the_provider_stand_as_they_are():
    hosted = {"type": "web_search_20250305", "name": "web_search"}
    own, bare, given = read(
        tools=[
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": {"type": "ephemeral"},
                "defer_loading": True,
            },
            {},
            hosted,
        ]
    ).tools
    assert own == FunctionTool(
        "f",
        "d",
        Raw(b'{"type": "object"}'),
        strict=True,
        cache=CacheMark(),
        ext={"anthropic": {"defer_loading": Raw(b"true")}},
    )
    assert bare == FunctionTool("tool")
    assert isinstance(given, HostedTool)
    assert (given.dialect, given.kind) == ("anthropic", "web_search_20250305")
    assert read(tools=[]).tools == ()
    assert read(tools=None).tools == ()


@pytest.mark.req("R-XLATE-010")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "required"}, ToolChoice("required")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", ("f",))),
        ({"type": "tool"}, None),
        ({"type": "magic"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_choice_among_tools(said, meant):
    assert read(tool_choice=said).tool_choice == meant


def test_parallel_calls_are_switched_in_the_choice():
    assert read(tool_choice={"type": "auto"}).parallel_tools is None
    off = read(tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert off.parallel_tools is False
    on = read(tool_choice={"type": "any", "disable_parallel_tool_use": False})
    assert on.parallel_tools is True


@pytest.mark.req("R-XLATE-011")
@pytest.mark.parametrize(
    ("block", "meant"),
    [
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "IMAGE/PNG", "data": PNG},
            },
            Media("image", Inline(PNG, "image/png")),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            Media("image", Url("https://x/y.png")),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            Media("image", FileRef("file_1", "anthropic")),
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
            Media("document", TextDoc("words"), title="T", context="C", citations_enabled=True),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "words"}},
            Media("document", PartsDoc((Text("words"),))),
        ),
        (
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [{"type": "text", "text": "x"}],
                "citations": {"enabled": False},
            },
            SearchResult("s", "t", (Text("x"),), citations_enabled=False),
        ),
    ],
)
def test_images_documents_and_search_results_are_understood(block, meant):
    assert parts(block) == (meant,)


@pytest.mark.pitfall(92, 94)
def test_thinking_comes_back_in_order_signed_or_redacted_and_even_empty():
    found = parts(
        {"type": "thinking", "thinking": "", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "hm", "signature": "s2"},
        role="assistant",
    )
    assert [(t.text, t.signature, t.encrypted, t.redacted) for t in found] == [
        ("", "s1", None, False),
        ("", None, "d", True),
        ("hm", "s2", None, False),
    ]
    assert {t.family for t in found} == {"anthropic"}


@pytest.mark.pitfall(93)
def test_thinking_without_a_signature_belongs_to_nobody():
    block = {"type": "thinking", "thinking": "hm", "signature": ""}
    assert parts(block, role="assistant") == (Thinking("hm"),)


@pytest.mark.pitfall(65, 88)
def test_blocks_of_this_dialect_alone_are_opaque():
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}
    (found,) = parts(block, role="assistant")
    assert found == Opaque(
        "anthropic",
        "server_tool_use",
        Raw(b'{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}'),
    )


@pytest.mark.pitfall(89)
def test_unknown_members_ride_along_and_nulls_say_nothing():
    request = read(container="c", speed=None, temperature=None, stop_sequences=None, tools=None)
    assert request.ext == {"anthropic": {"container": Raw(b'"c"')}}
    (call,) = parts(
        {"type": "tool_use", "id": "i", "name": "f", "input": {}, "caller": {"type": "direct"}},
        role="assistant",
    )
    assert call.ext == {"anthropic": {"caller": Raw(b'{"type": "direct"}')}}


@pytest.mark.req("R-ADD-016")
def test_the_rest_of_a_request():
    request = read(
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        metadata={"user_id": "u", "team": "x"},
        service_tier="standard_only",
        cache_control={"type": "ephemeral"},
    )
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.9, 5)
    assert sampling.stop == ("END",)
    assert (request.stream, request.end_user, request.service_tier) == (True, "u", "default")
    assert request.cache == CacheMark()
    assert request.ext == {"anthropic": {"metadata": Raw(b'{"team":"x"}')}}
    assert read(service_tier="auto").service_tier == "auto"
    odd = read(service_tier="gold", metadata=None)
    assert odd.ext == {"anthropic": {"service_tier": Raw(b'"gold"')}}
    assert read(service_tier=None, metadata={"user_id": None}).end_user is None


@pytest.mark.req("R-ADD-016")
@pytest.mark.parametrize(
    ("thinking", "meant"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, ("enabled", 2000, None)),
        ({"type": "adaptive", "display": "omitted"}, ("adaptive", None, "hidden")),
        ({"type": "disabled", "display": "summarized"}, ("disabled", None, "summary")),
        ({"type": "between_tools"}, ("enabled", None, None)),
        (None, (None, None, None)),
    ],
)
def test_thinking_is_a_wish(thinking, meant):
    reasoning = read(thinking=thinking).reasoning
    assert (reasoning.mode, reasoning.budget, reasoning.visibility) == meant


def test_a_kind_of_thinking_without_a_canonical_word_is_kept():
    request = read(thinking={"type": "between_tools"})
    assert request.ext == {"anthropic": {"thinking": Raw(b'{"type": "between_tools"}')}}


def test_output_config_holds_the_effort_and_the_form():
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = read(output_config={"effort": "high", "format": form, "task_budget": 3})
    assert request.reasoning.effort == "high"
    assert (request.output.format, request.output.schema) == (
        "json_schema",
        Raw(b'{"type": "object"}'),
    )
    assert request.ext == {"anthropic": {"output_config": Raw(b'{"task_budget":3}')}}
    assert read(output_format=form).output.format == "json_schema"
    assert read(output_config=None).output.format == "text"
    assert read(output_config={"effort": None, "format": None}).output.format == "text"


@pytest.mark.pitfall(170)
def test_zero_tokens_is_a_prewarm_and_not_the_same_as_nothing():
    assert read(max_tokens=0).max_tokens == 0


@pytest.mark.parametrize("name", ["model", "messages", "max_tokens"])
def test_a_missing_member_is_named(name):
    error = refusal(**{name: None})
    assert (error.param, error.code) == (name, "missing_required_field")


def test_counting_needs_no_bound():
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    assert read_count_request(body).max_tokens is None


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"model": 3}, "model"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5, "x": 1}]}]},
            "messages[0].content[0]",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "x"}}]}
                ]
            },
            "messages[0].content[0].source",
        ),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": 1}]}, "tools[0]"),
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": []}, "thinking"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"output_config": 3}, "output_config"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_a_member_of_a_wrong_type_is_refused_by_its_path(members, path):
    error = refusal(**members)
    assert error.param == path
    assert path in error.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model": NaN}',
        b'{"model":"m","max_tokens":1,"messages":' + b"[" * 100_000,
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"\xff"}]}]}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_proper_json_object_is_refused(body):
    with pytest.raises(CallerError) as caught:
        ANTHROPIC.read_request(body)
    assert caught.value.status == 400


def test_of_a_repeated_member_the_last_counts():
    body = b'{"model":"a","model":"b","max_tokens":1,"messages":[{"role":"user","content":"x"}]}'
    assert ANTHROPIC.read_request(body).model == "b"


def test_a_conversation_held_by_the_provider_is_refused_in_the_words_that_its_sdk_knows():
    error = refusal(thread={"type": "create"})
    assert error.code == "thread_unsupported_request"
    assert error.details == {"error_code": "thread_unsupported_request"}
    assert read(thread=None).model == "claude"


def test_errors_do_not_repeat_the_prompt():
    error = refusal(messages=[{"role": "user", "content": [{"type": "text", "text": ["secret"]}]}])
    assert "secret" not in error.message
