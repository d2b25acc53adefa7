"""The conversation in the shape that Anthropic demands."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    Citation,
    Inline,
    Media,
    Message,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.request import FunctionTool, Request
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Outgoing, Target

TOOLS = (FunctionTool("f", None, Raw(b'{"type":"object","properties":{}}')),)


def user(*parts, **members):
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts), **members)


def assistant(*parts):
    return Message("assistant", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def call(name="a", arguments="{}", **members):
    return ToolCall(name, "f", arguments, **members)


def result(name="a", *parts, **members):
    return ToolResult(name, parts or (Text("ok"),), **members)


def write(*messages, **members) -> Outgoing:
    capability = members.pop("capability", Capability())
    request = Request(
        "asked", messages, tools=members.pop("tools", TOOLS), max_tokens=9, **members
    )
    return ANTHROPIC.write_request(request, Target("anthropic", "sent", capability=capability))


def messages(*given, **members):
    return json.loads(write(*given, **members).body)["messages"]


def refused(*given, **members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        write(*given, **members)
    assert caught.value.status == 400
    return caught.value


def test_the_provider_is_asked_for_its_own_model():
    assert json.loads(write(user("Hi")).body)["model"] == "sent"


@pytest.mark.pitfall(47, 48)
def test_results_of_a_turn_stand_in_one_message_before_its_words():
    found = messages(
        user("go"),
        assistant("ok", call("a"), call("b")),
        user("also this"),
        user(result("b", Text("2"))),
        user(result("a", Text("1"))),
        user("and that"),
    )
    assert [m["role"] for m in found] == ["user", "assistant", "user"]
    blocks = found[2]["content"]
    assert [b["type"] for b in blocks] == ["tool_result", "tool_result", "text", "text"]
    assert [b.get("tool_use_id") for b in blocks[:2]] == ["b", "a"]
    assert [b["text"] for b in blocks[2:]] == ["also this", "and that"]


@pytest.mark.pitfall(71)
def test_neighbours_of_one_role_are_merged_and_their_parts_stay_apart():
    found = messages(user("a"), user("b"), assistant("c"), assistant("d"), user("e"))
    assert found == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}],
        },
        {"role": "user", "content": "e"},
    ]


@pytest.mark.pitfall(49)
@pytest.mark.parametrize(
    "conversation",
    [
        (user("go"), assistant(call("lost"))),
        (user("go"), assistant(call("lost")), user("no result")),
        (user("go"), assistant(call("lost"), call("b")), user(result("b"))),
        (user("go"), assistant(call("lost")), user("later"), assistant("x"), user(result("lost"))),
    ],
)
def test_a_call_without_a_result_is_refused_by_its_id(conversation):
    assert "'lost'" in refused(*conversation).message


@pytest.mark.pitfall(49)
def test_a_result_without_a_call_is_refused_by_its_id():
    error = refused(user("go"), user(result("stray")))
    assert "'stray'" in error.message
    assert error.param == "messages[1].content[0]"


@pytest.mark.pitfall(49)
def test_a_result_that_comes_too_late_is_refused():
    # The turn between them leaves nothing to send, and the result has no call right before it.
    error = refused(
        user("go"), assistant(call("a")), user(result("a"), result("b")), assistant("x"), user("y")
    )
    assert "'b'" in error.message
    stray = refused(
        user("go"),
        assistant(call("a"), call("b")),
        user(result("a")),
        assistant("x"),
        user(result("b")),
    )
    assert "'b'" in stray.message


@pytest.mark.pitfall(31)
def test_ids_that_are_counted_anew_each_turn_belong_to_the_nearest_call():
    found = messages(
        user("go"),
        assistant(call("call_0")),
        user(result("call_0", Text("first"))),
        assistant(call("call_0")),
        user(result("call_0", Text("second"))),
    )
    one, two = found[1]["content"][0]["id"], found[3]["content"][0]["id"]
    assert one == "call_0"
    assert two != one
    assert found[2]["content"][0]["tool_use_id"] == one
    assert found[4]["content"][0]["tool_use_id"] == two


@pytest.mark.pitfall(33)
def test_an_id_that_anthropic_refuses_is_hashed_in_call_and_result_alike():
    conversation = (user("go"), assistant(call("a|b é")), user(result("a|b é")))
    found = messages(*conversation)
    sent = found[1]["content"][0]["id"]
    assert sent.isascii()
    assert sent.replace("_", "").isalnum()
    assert found[2]["content"][0]["tool_use_id"] == sent
    assert messages(*conversation) == found


@pytest.mark.pitfall(34, 35, 36, 67)
@pytest.mark.parametrize(
    ("arguments", "members", "sent", "changed"),
    [
        ("", {}, "{}", False),
        ("  ", {}, "{}", False),
        (
            '{"b": 1.0, "a": 12345678901234567890}',
            {},
            '{"b": 1.0, "a": 12345678901234567890}',
            False,
        ),
        ('{"a": "cut', {}, '{"_raw":"{\\"a\\": \\"cut"}', True),
        ("[1,2]", {}, '{"input":[1,2]}', True),
        ("free text", {"kind": "custom"}, '{"input":"free text"}', False),
    ],
)
def test_arguments_become_an_object(arguments, members, sent, changed):
    written = write(user("go"), assistant(call("a", arguments, **members)), user(result("a")))
    assert b'"input":' + sent.encode() in written.body
    assert bool(written.losses) is changed


@pytest.mark.pitfall(69)
@pytest.mark.parametrize("empty", ["", " \n"])
def test_a_text_without_words_is_never_sent(empty):
    found = messages(user("go"), assistant(empty, call("a")), user(result("a")))
    assert [block["type"] for block in found[1]["content"]] == ["tool_use"]


@pytest.mark.pitfall(69, 155)
def test_a_user_turn_of_nothing_is_refused():
    error = refused(user("a"), assistant("b"), user(" "))
    assert error.param == "messages[2].content"


@pytest.mark.pitfall(174)
def test_an_assistant_turn_of_nothing_is_left_out_and_its_neighbours_merge():
    found = messages(user("a"), assistant(""), user("b"))
    assert [m["role"] for m in found] == ["user"]
    assert [b["text"] for b in found[0]["content"]] == ["a", "b"]


@pytest.mark.pitfall(53, 174)
def test_a_result_may_be_empty_an_error_or_hold_pictures():
    picture = Media("image", Inline("iVBORw0KGgo=", "image/png"))
    found = messages(
        user("go"),
        assistant(call("a"), call("b"), call("c")),
        user(
            ToolResult("a", ()),
            ToolResult("b", (Text("bad"),), is_error=True),
            ToolResult("c", (Text("see"), picture, Refusal("no"), Text("")), cache=CacheMark()),
        ),
    )
    one, two, three = found[2]["content"]
    assert one == {"type": "tool_result", "tool_use_id": "a"}
    assert two == {
        "type": "tool_result",
        "tool_use_id": "b",
        "content": "bad",
        "is_error": True,
    }
    assert [block["type"] for block in three["content"]] == ["text", "image", "text"]
    assert three["cache_control"] == {"type": "ephemeral"}


@pytest.mark.pitfall(70)
def test_a_prefill_ends_without_white_space():
    found = messages(user("a"), assistant("the answer is \n"))
    assert found[1] == {"role": "assistant", "content": "the answer is"}


@pytest.mark.pitfall(76)
def test_a_prefill_is_refused_where_the_model_does_not_go_on_from_it():
    error = refused(user("a"), assistant("b"), capability=Capability(prefill=False))
    assert error.code == "unsupported_feature"


@pytest.mark.req("R-XLATE-002")
@pytest.mark.pitfall(74)
def test_leading_instructions_keep_their_order_and_their_borders():
    body = json.loads(write(user("a"), system=(Text("one"),)).body)
    assert body["system"] == "one"
    body = json.loads(write(user("a"), system=(Text("one"), Text(" "), Text("two"))).body)
    assert [block["text"] for block in body["system"]] == ["one", "two"]
    body = json.loads(write(user("a"), system=(Text("one", cache=CacheMark("1h")),)).body)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert refused(user("a"), system=(Refusal("no"),)).param == "system[0]"


@pytest.mark.pitfall(74)
def test_instructions_in_the_middle_are_the_users_words_where_the_role_is_unknown():
    written = write(user("a"), assistant("b"), Message("system", (Text("be brief"),)), user("c"))
    found = json.loads(written.body)["messages"]
    assert found[2]["content"] == [
        {"type": "text", "text": "<system>\nbe brief\n</system>"},
        {"type": "text", "text": "c"},
    ]
    assert [(loss.path, loss.action) for loss in written.losses] == [("messages[2]", "emulated")]


@pytest.mark.pitfall(74)
def test_instructions_in_the_middle_keep_their_role_where_the_model_knows_it():
    known = Capability(mid_system=True)
    found = messages(
        user("a"),
        assistant(call("x")),
        Message("system", (Text("be brief"),)),
        user(result("x")),
        Message("system", (Text(" "),)),
        capability=known,
    )
    assert [m["role"] for m in found] == ["user", "assistant", "user", "system"]


def test_what_is_opaque_to_others_goes_back_in_the_middle_too():
    opaque = Opaque("anthropic", "tool_addition", Raw(b'{"type":"tool_addition","tool":{}}'))
    found = messages(user("a"), assistant("b"), Message("system", (opaque,)))
    assert found[2]["content"] == [{"type": "tool_addition", "tool": {}}]


@pytest.mark.pitfall(73)
def test_instructions_alone_become_the_users_turn():
    written = write(system=(Text("Say hi"),))
    body = json.loads(written.body)
    assert body["messages"] == [{"role": "user", "content": "Say hi"}]
    assert "system" not in body
    assert written.losses[0].path == "messages"


def test_nothing_at_all_is_refused():
    assert refused().param == "messages"


@pytest.mark.pitfall(77)
def test_names_of_speakers_are_told_as_lost():
    written = write(user("a", name="Ann"))
    assert [loss.path for loss in written.losses] == ["messages[0].name"]


@pytest.mark.pitfall(92, 93, 94)
def test_only_signed_thinking_of_this_family_goes_back():
    native = {"family": "anthropic"}
    written = write(
        user("a"),
        assistant(
            Thinking("", signature="s1", **native),
            Thinking(redacted=True, encrypted="d", **native),
            Thinking("mine", signature="s2", format="anthropic-claude-v1"),
            Thinking("unsigned", **native),
            Thinking("foreign", signature="s3", family="gemini"),
            Thinking("nobody's"),
            "b",
        ),
        user("c"),
    )
    blocks = json.loads(written.body)["messages"][1]["content"]
    assert blocks == [
        {"type": "thinking", "thinking": "", "signature": "s1"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": "mine", "signature": "s2"},
        {"type": "text", "text": "b"},
    ]
    assert [loss.path for loss in written.losses] == [
        "messages[1].content[3]",
        "messages[1].content[4]",
        "messages[1].content[5]",
    ]


@pytest.mark.pitfall(66)
def test_calls_stand_behind_the_blocks_of_hosted_tools_unless_a_thought_hangs_on_them():
    hosted = Opaque("anthropic", "server_tool_use", Raw(b'{"type":"server_tool_use"}'))
    found = messages(user("go"), assistant(call("a"), hosted, "x"), user(result("a")))
    assert [b["type"] for b in found[1]["content"]] == ["server_tool_use", "text", "tool_use"]
    thought = Thinking("hm", signature="s", family="anthropic")
    found = messages(user("go"), assistant(call("a"), thought, hosted), user(result("a")))
    assert [b["type"] for b in found[1]["content"]] == ["tool_use", "thinking", "server_tool_use"]


@pytest.mark.pitfall(86)
def test_a_refusal_in_the_history_is_text():
    found = messages(user("a"), assistant(Refusal("I won't")), user("b", Refusal("quoted")))
    assert found[1]["content"] == "I won't"
    assert [b["text"] for b in found[2]["content"]] == ["b", "quoted"]


@pytest.mark.pitfall(87)
def test_the_assistants_sound_goes_back_as_its_words_or_not_at_all():
    source = Url("x:")
    found = messages(user("a"), assistant(Media("audio", source, transcript="I said")), user("b"))
    assert found[1]["content"] == "I said"
    assert refused(user("a"), assistant(Media("audio", source)), user("b")).param == (
        "messages[1].content[0]"
    )


@pytest.mark.pitfall(65, 88)
def test_parts_of_another_dialect_are_refused_by_their_path():
    other = Opaque("gemini", "executable_code", Raw(b"{}"))
    assert refused(user(other)).param == "messages[0].content[0]"
    assert "gemini" in refused(user(other)).message


@pytest.mark.parametrize(
    "conversation",
    [
        (user(Thinking("x")),),
        (user(call()),),
        (user("a"), assistant(result()), user("b")),
        (user("a"), assistant(call("a")), user(ToolResult("a", (Thinking("x"), Text("y"))))),
        (user(SearchResult("s", "t", (Refusal("x"),))),),
    ],
)
def test_parts_in_the_wrong_place_are_refused(conversation):
    assert refused(*conversation).kind == "unsupported_feature"


def test_search_results_keep_all_they_have():
    found = messages(
        user(SearchResult("s", "t", (Text("x"),), citations_enabled=True, cache=CacheMark())),
        assistant(call("a")),
        user(
            ToolResult(
                "a",
                (
                    SearchResult("s", "t", ()),
                    Opaque("anthropic", "tool_reference", Raw(b'{"type":"tool_reference"}')),
                ),
            )
        ),
    )
    assert found[0]["content"] == [
        {
            "type": "search_result",
            "source": "s",
            "title": "t",
            "content": [{"type": "text", "text": "x"}],
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral"},
        }
    ]
    assert found[2]["content"][0]["content"][1] == {"type": "tool_reference"}


def test_citations_of_this_dialect_go_back_and_others_are_told_as_lost():
    own = Citation("char", raw=Raw(b'{"type":"char_location"}'), dialect="anthropic")
    other = Citation("url", url="https://x", dialect="chat")
    written = write(user("a"), assistant(Text("b", citations=(own, other))), user("c"))
    block = json.loads(written.body)["messages"][1]["content"][0]
    assert block["citations"] == [{"type": "char_location"}]
    assert [loss.reason for loss in written.losses] == ["citations_of_another_dialect"]
    alone = write(user("a"), assistant(Text("b", citations=(own,))), user("c"))
    assert json.loads(alone.body)["messages"][1]["content"] == [block]
    assert alone.losses == ()


def test_a_signature_of_another_family_on_a_call_is_told_as_lost():
    written = write(user("a"), assistant(call("a", signature="g")), user(result("a")))
    assert [loss.path for loss in written.losses] == ["messages[1].content[0].signature"]


@pytest.mark.pitfall(124)
def test_cache_marks_survive_wherever_they_stand_up_to_four():
    mark = CacheMark()
    written = write(
        user(Text("a", cache=mark)),
        assistant(call("x", cache=mark)),
        user(ToolResult("x", (Text("in", cache=mark),), cache=mark), Text("b", cache=mark)),
        system=(Text("s", cache=mark),),
        tools=(FunctionTool("f", cache=mark),),
    )
    body = json.loads(written.body)
    assert "cache_control" in body["tools"][0]
    assert "cache_control" not in json.dumps(body["system"])
    last = body["messages"][2]["content"]
    assert "cache_control" in last[1]
    assert "cache_control" in last[0]
    assert "cache_control" in last[0]["content"][0]
    assert [loss.reason for loss in written.losses] == ["at_most_four"] * 3


@pytest.mark.pitfall(124)
@pytest.mark.parametrize(
    ("ttl", "sent", "changed"),
    [("5m", "5m", 0), ("1h", "1h", 0), ("30m", "1h", 1), ("60s", "5m", 1), ("odd", "5m", 1)],
)
def test_a_cache_lives_five_minutes_or_an_hour(ttl, sent, changed):
    written = write(user(Text("a", cache=CacheMark(ttl))))
    block = json.loads(written.body)["messages"][0]["content"][0]
    assert block["cache_control"]["ttl"] == sent
    assert len(written.losses) == changed


def test_the_mark_at_the_top_counts_among_the_four():
    marked = tuple(Text(str(n), cache=CacheMark()) for n in range(5))
    body = json.loads(write(user(*marked), cache=CacheMark("1h")).body)
    assert body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert sum("cache_control" in block for block in body["messages"][0]["content"]) == 3
