"""The canonical request as a Responses request: mapping, losses, refusals (`dialects.md` §3.1, §5)."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    FileRef,
    Inline,
    Media,
    Message,
    Refusal,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.provider import Quirks
from dragoman.core.request import (
    CustomTool,
    FunctionTool,
    HostedTool,
    Output,
    Reasoning,
    Request,
    Sampling,
    ToolChoice,
)
from dragoman.dialects.base import Target
from dragoman.dialects.responses import RESPONSES

UNKNOWN = Capability()
THINKER = Capability(reasons_by_default=True)
PLAIN = Capability(reasons=False)
HELLO = (Message("user", (Text("Hi"),)),)
TOOL = FunctionTool("f", schema=Raw(b'{"type":"object"}'))
NATIVE = {"family": "responses", "format": "openai-responses-v1"}


def request(*messages: Message, **members) -> Request:
    return Request("x", messages or HELLO, **members)


def outgoing(asked: Request, capability: Capability = UNKNOWN, **target):
    return RESPONSES.write_request(asked, Target("openai", "m", capability=capability, **target))


def sent(asked: Request, capability: Capability = UNKNOWN, **target) -> dict:
    return json.loads(outgoing(asked, capability, **target).body)


def lost(asked: Request, capability: Capability = UNKNOWN) -> dict[str, str]:
    return {loss.path: loss.action for loss in outgoing(asked, capability).losses}


def refused(asked: Request, capability: Capability = UNKNOWN) -> CallerError:
    with pytest.raises(CallerError) as caught:
        outgoing(asked, capability)
    assert caught.value.status == 400
    return caught.value


def test_the_simplest_request():
    assert sent(request(system=(Text("Be kind."), Text("Be brief.")), stream=True)) == {
        "model": "m",
        "instructions": "Be kind.\n\nBe brief.",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "store": False,
        "stream": True,
    }


@pytest.mark.pitfall(188)
def test_in_json_mode_instructions_stand_in_the_input():
    body = sent(request(system=(Text("Answer in JSON."),), output=Output("json")))
    assert "instructions" not in body
    assert body["input"][0]["role"] == "developer"
    assert body["input"][0]["content"] == [{"type": "input_text", "text": "Answer in JSON."}]
    assert body["text"] == {"format": {"type": "json_object"}}


@pytest.mark.pitfall(189, 73)
def test_a_conversation_without_a_turn_gets_an_empty_one_and_that_is_told():
    asked = Request("x", (), system=(Text("Speak."),))
    told = outgoing(asked)
    assert [item["role"] for item in json.loads(told.body)["input"]] == ["developer", "user"]
    assert told.adjusted == ("input=an empty user message",)


@pytest.mark.pitfall(62)
@pytest.mark.parametrize(("strict", "said"), [(None, False), (False, False), (True, True)])
def test_whether_a_tool_is_strict_is_always_said(strict, said):
    (tool,) = sent(request(tools=(replace(TOOL, strict=strict),)))["tools"]
    assert tool == {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object"},
        "strict": said,
    }


@pytest.mark.pitfall(59)
@pytest.mark.parametrize("schema", [None, b"{}"])
def test_a_tool_without_a_schema_takes_an_empty_object(schema):
    tool = FunctionTool("f", schema=None if schema is None else Raw(schema))
    assert sent(request(tools=(tool,)))["tools"][0]["parameters"] == {
        "type": "object",
        "properties": {},
    }


@pytest.mark.pitfall(57)
def test_odd_names_of_tools_are_renamed_everywhere_and_that_is_undone():
    odd = replace(TOOL, name="a tool")
    asked = request(
        *HELLO,
        Message("assistant", (ToolCall("c", "a tool", "{}"),)),
        Message("user", (ToolResult("c"),)),
        tools=(odd,),
        tool_choice=ToolChoice("named", ("a tool",)),
    )
    told = outgoing(asked)
    body = json.loads(told.body)
    assert body["tools"][0]["name"] == body["tool_choice"]["name"] == "a_tool"
    assert body["input"][1]["name"] == "a_tool"
    assert told.undo.tool_names == {"a_tool": "a tool"}
    reply = {
        "output": [{"type": "function_call", "call_id": "c", "name": "a_tool", "arguments": "{}"}]
    }
    target = Target("openai", "m")
    (call,) = (
        RESPONSES.read_response(json.dumps(reply).encode(), target, told.undo).choices[0].parts
    )
    assert call.name == "a tool"


@pytest.mark.pitfall(58)
def test_two_tools_of_one_name_are_refused():
    assert refused(request(tools=(TOOL, TOOL))).param == "tools[1]"


@pytest.mark.pitfall(65)
def test_a_tool_that_another_provider_runs_is_refused():
    hosted = HostedTool("anthropic", "web_search_20250305", Raw(b"{}"))
    assert refused(request(tools=(hosted,))).param == "tools[0]"


@pytest.mark.pitfall(54)
def test_without_tools_there_is_nothing_to_choose():
    asked = request(tool_choice=ToolChoice("required"), parallel_tools=False)
    assert "tool_choice" not in sent(asked)
    assert lost(asked) == {"tool_choice": "dropped", "parallel_tool_calls": "dropped"}


@pytest.mark.pitfall(67)
def test_free_text_tools_and_their_results_are_of_their_own_kind():
    grammar = Raw(b'{"type":"grammar","grammar":{"syntax":"lark","definition":"s"}}')
    body = sent(
        request(
            *HELLO,
            Message("assistant", (ToolCall("c", "g", "free", kind="custom"),)),
            Message("user", (ToolResult("c", (Text("done"),)),)),
            tools=(CustomTool("g", format=grammar),),
            tool_choice=ToolChoice("allowed", ("g",), required=True),
        )
    )
    assert body["tools"][0]["format"] == {"type": "grammar", "syntax": "lark", "definition": "s"}
    assert body["input"][1] == {
        "type": "custom_tool_call",
        "call_id": "c",
        "name": "g",
        "input": "free",
    }
    assert body["input"][2]["type"] == "custom_tool_call_output"
    assert body["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "custom", "name": "g"}],
    }


@pytest.mark.pitfall(33)
def test_long_ids_are_hashed_alike_in_call_and_result():
    long = "toolu_" + "x" * 90
    items = sent(
        request(
            *HELLO,
            Message("assistant", (ToolCall(long, "f", ""),)),
            Message("user", (ToolResult(long, (Text("1"),)), Text("and"))),
        )
    )["input"]
    assert items[1]["call_id"] == items[2]["call_id"]
    assert len(items[1]["call_id"]) <= 64
    assert items[1]["arguments"] == "{}"
    assert items[3]["content"] == "and"


@pytest.mark.pitfall(53)
def test_a_failed_call_says_so_in_words():
    asked = request(
        *HELLO,
        Message("assistant", (ToolCall("c", "f", "{}"),)),
        Message("user", (ToolResult("c", (Text("boom"),), is_error=True),)),
    )
    assert sent(asked)["input"][2]["output"] == "Error: boom"
    assert lost(asked) == {"messages[2].content[0].is_error": "emulated"}


def test_a_tools_picture_stays_in_its_result():
    picture = Media("image", Inline("iVBORw0KGgo=", "image/png"))
    items = sent(
        request(
            *HELLO,
            Message("assistant", (ToolCall("c", "f", "{}"),)),
            Message("user", (ToolResult("c", (Text("see"), picture)),)),
        )
    )["input"]
    assert items[2]["output"] == [
        {"type": "input_text", "text": "see"},
        {
            "type": "input_image",
            "detail": "auto",
            "image_url": "data:image/png;base64,iVBORw0KGgo=",
        },
    ]


@pytest.mark.pitfall(83, 82)
@pytest.mark.parametrize(
    "media",
    [
        Media("audio", Inline("AAAA", "audio/wav")),
        Media("video", Url("https://e/v")),
        Media("image", FileRef("file_1", "anthropic")),
    ],
)
def test_what_the_dialect_cannot_show_is_refused(media):
    assert refused(request(Message("user", (media,)))).param == "messages[0].content[0]"


def test_documents():
    paper = Media("document", Inline("JVBERi0xLjQ=", "application/pdf"), title="Paper")
    words = Media("document", TextDoc("All of it"), title="Notes")
    far = Media("document", Url("https://e/a.pdf"))
    asked = request(Message("user", (paper, words, far)))
    assert sent(asked)["input"][0]["content"] == [
        {
            "type": "input_file",
            "filename": "Paper",
            "file_data": "data:application/pdf;base64,JVBERi0xLjQ=",
        },
        {"type": "input_text", "text": "Notes\n\nAll of it"},
        {"type": "input_file", "file_url": "https://e/a.pdf"},
    ]
    assert lost(asked) == {"messages[0].content[1]": "emulated"}


@pytest.mark.pitfall(104, 93, 190)
def test_only_reasoning_of_this_family_with_its_state_goes_back():
    turn = (
        Thinking("Hm", encrypted="e", id="rs_1", summary=True, **NATIVE),
        ToolCall("c", "f", "{}", item_id="fc_1"),
    )
    result = Message("user", (ToolResult("c", (Text("1"),)),))
    body = sent(request(*HELLO, Message("assistant", turn), result))
    assert body["input"][1] == {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "e",
    }
    assert body["input"][2]["id"] == "fc_1"
    assert body["include"] == ["reasoning.encrypted_content"]
    for thought in (
        Thinking("Hm", signature="s", family="anthropic"),
        Thinking("Hm", id="rs_1", summary=True, **NATIVE),
    ):
        asked = request(*HELLO, Message("assistant", (thought, turn[1])), result)
        items = sent(asked)["input"]
        assert [item["type"] for item in items] == [
            "message",
            "function_call",
            "function_call_output",
        ]
        assert "id" not in items[1]
        assert lost(asked) == {"messages[1].content[0]": "dropped"}


@pytest.mark.pitfall(104)
def test_reasoning_that_nothing_follows_does_not_go_back():
    thought = Thinking("Hm", encrypted="e", **NATIVE)
    asked = request(*HELLO, Message("assistant", (Text("So"), thought)), *HELLO)
    assert [item["type"] for item in sent(asked)["input"]] == ["message"] * 3
    assert lost(asked) == {"messages[1]": "dropped"}


@pytest.mark.pitfall(104)
@pytest.mark.parametrize(
    ("capability", "reasoning", "included"),
    [
        (THINKER, Reasoning(), True),
        (PLAIN, Reasoning(), False),
        (PLAIN, Reasoning(effort="high"), False),
        (Capability(), Reasoning(), False),
        (Capability(), Reasoning(effort="high"), True),
    ],
)
def test_state_is_asked_for_where_reasoning_may_come(capability, reasoning, included):
    body = sent(request(reasoning=reasoning), capability)
    assert ("include" in body) is included


@pytest.mark.parametrize(
    ("reasoning", "said"),
    [
        (Reasoning(effort="high"), {"effort": "high"}),
        (Reasoning(budget=5000), {"effort": "medium"}),
        (Reasoning(mode="enabled", budget=1024), {"effort": "minimal", "summary": "auto"}),
        (Reasoning(effort="low", visibility="summary"), {"effort": "low", "summary": "auto"}),
        (Reasoning(mode="disabled"), {"effort": "none"}),
    ],
)
def test_thinking_is_asked_for_by_effort(reasoning, said):
    assert sent(request(reasoning=reasoning), THINKER)["reasoning"] == said


@pytest.mark.pitfall(107, 169)
def test_an_effort_that_the_model_has_not_becomes_the_nearest():
    few = replace(THINKER, efforts=("low", "high"))
    asked = request(reasoning=Reasoning(effort="minimal"))
    assert sent(asked, few)["reasoning"] == {"effort": "low"}
    assert lost(asked, few) == {"reasoning.effort": "changed"}


@pytest.mark.pitfall(182)
def test_a_model_that_reasons_gets_no_sampling_members():
    asked = request(sampling=Sampling(temperature=0.5, top_p=1))
    assert "temperature" not in sent(asked, THINKER)
    assert lost(asked, THINKER) == {"temperature": "dropped"}
    calm = request(sampling=Sampling(temperature=0.5), reasoning=Reasoning(effort="none"))
    assert sent(calm, THINKER)["temperature"] == 0.5


@pytest.mark.pitfall(111, 170)
def test_the_limit_of_tokens():
    assert sent(request(max_tokens=100))["max_output_tokens"] == 100
    assert sent(request(max_tokens=1))["max_output_tokens"] == 16
    assert lost(request(max_tokens=1)) == {"max_tokens": "changed"}
    assert refused(request(max_tokens=0)).param == "max_tokens"


@pytest.mark.pitfall(115)
def test_more_than_one_answer_is_refused():
    assert refused(request(sampling=Sampling(n=2))).param == "n"
    assert "n" not in sent(request(sampling=Sampling(n=1)))


@pytest.mark.pitfall(116, 118)
def test_sampling_that_the_dialect_has_not_is_told_as_lost():
    knobs = Sampling(
        top_k=3,
        min_p=0.1,
        seed=7,
        frequency_penalty=1,
        presence_penalty=1,
        repetition_penalty=1.1,
        logit_bias={"1": 2},
    )
    assert set(lost(request(sampling=knobs))) == {
        *("top_k", "min_p", "seed", "frequency_penalty"),
        *("presence_penalty", "repetition_penalty", "logit_bias"),
    }


@pytest.mark.pitfall(113)
def test_stop_sequences_are_cut_here_and_that_is_told():
    asked = request(sampling=Sampling(stop=("END", "")))
    assert "stop" not in sent(asked)
    assert outgoing(asked).undo.stop == ("END",)
    assert lost(asked) == {"stop": "emulated"}


@pytest.mark.pitfall(117)
def test_log_probabilities_are_included():
    body = sent(request(sampling=Sampling(logprobs=True, top_logprobs=3)))
    assert body["include"] == ["message.output_text.logprobs"]
    assert body["top_logprobs"] == 3


@pytest.mark.pitfall(76)
def test_words_to_go_on_from_are_refused():
    asked = request(*HELLO, Message("assistant", (Text("Once"),)))
    assert refused(asked).param == "messages[1]"


@pytest.mark.pitfall(149, 84, 191)
def test_words_of_the_assistants():
    phased = Text("One", ext={"responses": {"phase": Raw(b'"commentary"')}})
    items = sent(
        request(
            *HELLO,
            Message("assistant", (phased,)),
            Message("assistant", (Text("Two"), Refusal("No"))),
            *HELLO,
        )
    )["input"]
    assert items[1] == {
        "type": "message",
        "role": "assistant",
        "phase": "commentary",
        "content": "One",
    }
    assert items[2]["content"] == [
        {"type": "output_text", "text": "Two", "annotations": []},
        {"type": "refusal", "refusal": "No"},
    ]


@pytest.mark.pitfall(124)
def test_cache_marks():
    marked = Message("user", (Text("Hi", cache=CacheMark("1h")),))
    asked = request(marked, system=(Text("S", cache=CacheMark()),), cache=CacheMark())
    items = sent(asked)["input"]
    mark = "prompt_cache_breakpoint"
    assert items[0]["content"][0][mark] == {"mode": "explicit"}
    assert items[1]["content"][0][mark] == {"mode": "explicit", "ttl": "12h"}
    assert lost(asked) == {
        "messages[0].content[0].cache_control.ttl": "changed",
        "cache_control": "dropped",
    }


def test_what_only_another_dialect_knows_is_told_or_refused():
    asked = request(ext={"chat": {"web": Raw(b"1")}})
    assert lost(asked) == {"web": "dropped"}
    assert refused(request(ext={"anthropic": {"container": Raw(b'"c"')}})).param == "container"


def test_the_rest():
    body = sent(
        request(
            end_user="u",
            metadata={"a": "b"},
            safety_id="s",
            cache_key="k",
            cache_retention="24h",
            service_tier="flex",
            store=True,
            output=Output(verbosity="low"),
        )
    )
    assert {name: body[name] for name in body if name not in {"model", "input"}} == {
        "user": "u",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "service_tier": "flex",
        "store": True,
        "text": {"verbosity": "low"},
    }
    odd = request(prediction=Raw(b"{}"), service_tier="batch", output=Output(audio=Raw(b"{}")))
    assert set(lost(odd)) == {"prediction", "service_tier", "audio"}
    assert refused(request(output=Output(modalities=("audio",)))).param == "modalities"


def test_a_providers_file_may_rename_and_drop():
    quirks = Quirks(drop=("metadata",), rename={"user": "end_user"})
    told = outgoing(request(end_user="u", metadata={"a": "b"}), quirks=quirks)
    body = json.loads(told.body)
    assert body["end_user"] == "u"
    assert "metadata" not in body
    assert [loss.path for loss in told.losses] == ["metadata"]
