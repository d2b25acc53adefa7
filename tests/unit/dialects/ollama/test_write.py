"""The canonical request as Ollama takes it: the columns of `dialects.md` §3.1 and §5."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    Citation,
    FileRef,
    Inline,
    Media,
    Message,
    Opaque,
    PartsDoc,
    Refusal,
    SearchResult,
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
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.ollama import GENERATE, OLLAMA

TARGET = Target("ollama", "llama3")
PNG = Media("image", Inline("iVBORw0KGgo=", "image/png"))
HI = (Message("user", (Text("hi"),)),)


def written(messages: Any = HI, target: Target = TARGET, **members: Any) -> Outgoing:
    return OLLAMA.write_request(Request("x", tuple(messages), **members), target)


def sent(messages: Any = HI, target: Target = TARGET, **members: Any) -> dict[str, Any]:
    return json.loads(written(messages, target, **members).body)


def lost(messages: Any = HI, target: Target = TARGET, **members: Any) -> list[tuple[str, str]]:
    return [(loss.path, loss.action) for loss in written(messages, target, **members).losses]


def refused(messages: Any = HI, target: Target = TARGET, **members: Any) -> str | None:
    with pytest.raises(CallerError) as caught:
        written(messages, target, **members)
    assert caught.value.status == 400
    return caught.value.param


def user(*parts: Any) -> tuple[Message, ...]:
    return (Message("user", parts),)


# --------------------------------------------------------------------------- the plain request


@pytest.mark.pitfall(121)
@pytest.mark.pitfall(167)
def test_nothing_is_filled_in_but_whether_it_streams():
    expected = {"model": "llama3", "messages": [{"role": "user", "content": "hi"}]}
    assert sent() == {**expected, "stream": False}
    assert sent(stream=True) == {**expected, "stream": True}
    assert lost() == []


@pytest.mark.pitfall(74)
@pytest.mark.pitfall(75)
@pytest.mark.pitfall(71)
def test_instructions_stay_where_they_are_and_nobodys_turns_are_merged():
    turns = [*HI, Message("system", (Text("now"),), role_name="developer"), *HI, *HI]
    body = sent(turns, system=(Text("a"), Text("b")))
    assert [(item["role"], item["content"]) for item in body["messages"]] == [
        ("system", "a"),
        ("system", "b"),
        ("user", "hi"),
        ("system", "now"),
        ("user", "hi"),
        ("user", "hi"),
    ]


@pytest.mark.pitfall(84)
@pytest.mark.pitfall(168)
def test_texts_are_one_and_all_images_stand_beside_it():
    turns = [
        *user(Text("a"), PNG, Text("b"), PNG),
        Message("assistant", (Text("c"), Text("d"), Refusal("no"))),
    ]
    body = sent(turns)
    assert body["messages"][0] == {
        "role": "user",
        "content": "a\nb",
        "images": ["iVBORw0KGgo="] * 2,
    }
    assert body["messages"][1] == {"role": "assistant", "content": "cdno"}
    assert lost(turns) == []


# --------------------------------------------------------------------------- media


@pytest.mark.pitfall(79)
@pytest.mark.pitfall(82)
@pytest.mark.pitfall(83)
@pytest.mark.parametrize(
    "part",
    [
        Media("image", Url("https://example.com/a.png")),
        Media("image", FileRef("file_1", "chat")),
        Media("document", Inline("JVBERi0=", "application/pdf")),
        Media("document", Url("https://example.com/a.pdf")),
        Media("document", Inline("/w==", "text/plain")),
        Media("audio", Inline("AAAA", "audio/wav")),
        Media("video", Url("https://example.com/a.mp4")),
        Opaque("anthropic", "container_upload", Raw(b"{}")),
        ToolCall("c", "f"),
    ],
)
def test_what_ollama_cannot_see_is_refused_by_its_path(part):
    assert refused(user(Text("x"), part)) == "messages[0].content[1]"


def test_a_model_without_eyes_is_sent_no_image():
    blind = Target("ollama", "llama3", capability=Capability(images=False))
    assert refused(user(PNG), blind) == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Media("document", TextDoc("words"), title="T", context="C"), "T\n\nC\n\nwords"),
        (Media("document", PartsDoc((Text("p"), Text("q"))), title="T"), "T\np\nq"),
        (Media("document", Inline("d29yZHM=", "text/plain"), filename="a.txt"), "a.txt\n\nwords"),
        (SearchResult("src", "title", (Text("found"),)), "title\nsrc\nfound"),
    ],
)
def test_documents_of_text_become_text(part, text):
    assert sent(user(part))["messages"][0]["content"] == text
    assert lost(user(part)) == [("messages[0].content[0]", "emulated")]


def test_what_is_beside_a_part_and_has_no_place_is_told():
    part = Text("a", (Citation("url", url="u"),), CacheMark(), {"chat": {"x": Raw(b"1")}})
    image = Media("image", PNG.source, detail="high", cache=CacheMark(), citations_enabled=True)
    assert lost(user(part, image)) == [
        ("messages[0].content[0].citations", "dropped"),
        ("messages[0].content[0].cache_control", "dropped"),
        ("messages[0].content[0].x", "dropped"),
        ("messages[0].content[1].cache_control", "dropped"),
        ("messages[0].content[1].citations", "dropped"),
        ("messages[0].content[1].detail", "dropped"),
    ]
    added = Opaque("anthropic", "tool_addition", Raw(b"{}"))
    assert lost(user(Text("a"), added)) == [("messages[0].content[1]", "emulated")]


# --------------------------------------------------------------------------- calls and results

CALL = Message("assistant", (ToolCall("c1", "f", '{"a": 1}'),))


def answered(*parts: Any, **members: Any) -> list[Message]:
    return [*HI, CALL, Message("user", (ToolResult("c1", parts, **members),))]


@pytest.mark.pitfall(28)
@pytest.mark.pitfall(30)
def test_a_result_is_a_message_of_its_own_and_names_its_function():
    turns = answered(Text("x"), Text("y"))
    turns[2] = Message("user", (*turns[2].parts, Text("and?"), PNG))
    assert sent(turns)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "x\ny", "tool_name": "f", "tool_call_id": "c1"},
        {"role": "user", "content": "and?", "images": ["iVBORw0KGgo="]},
    ]
    assert lost(turns) == []


@pytest.mark.pitfall(30)
@pytest.mark.pitfall(49)
def test_a_result_of_no_call_is_refused():
    stray = user(ToolResult("c9", (Text("x"),)))
    assert refused([*HI, CALL, *stray]) == "messages[2].content[0]"
    named = user(ToolResult("c9", (Text("x"),), name="g"))
    assert sent([*HI, CALL, *named])["messages"][2]["tool_name"] == "g"


@pytest.mark.pitfall(31)
def test_repeated_ids_are_those_of_the_nearest_call():
    other = Message("assistant", (ToolCall("c1", "g"),))
    turns = [*answered(Text("x")), other, Message("user", (ToolResult("c1", (Text("y"),)),))]
    names = [item.get("tool_name") for item in sent(turns)["messages"]]
    assert [name for name in names if name] == ["f", "g"]


@pytest.mark.pitfall(53)
def test_a_failure_is_said_in_words_and_an_image_stays_with_its_result():
    assert sent(answered(Text("no"), is_error=True))["messages"][2]["content"] == "Error: no"
    assert sent(answered(is_error=True))["messages"][2]["content"] == "Error: "
    assert lost(answered(is_error=True)) == [("messages[2].content[0].is_error", "emulated")]
    seen = sent(answered(Text("see"), PNG))["messages"][2]
    assert (seen["content"], seen["images"]) == ("see", ["iVBORw0KGgo="])
    assert sent(answered())["messages"][2]["content"] == ""


@pytest.mark.pitfall(27)
@pytest.mark.pitfall(34)
@pytest.mark.pitfall(35)
@pytest.mark.pitfall(36)
@pytest.mark.pitfall(67)
@pytest.mark.parametrize(
    ("call", "arguments", "changed"),
    [
        (ToolCall("c", "f", ""), "{}", False),
        (ToolCall("c", "f", "  "), "{}", False),
        (
            ToolCall("c", "f", '{"a": 123456789012345678901, "a": 1.50}'),
            '{"a":123456789012345678901,"a":1.50}',
            False,
        ),
        (ToolCall("c", "f", '{"a": [1'), '{"_raw":"{\\"a\\": [1"}', True),
        (ToolCall("c", "f", "[1,2]"), '{"input":[1,2]}', True),
        (ToolCall("c", "f", "free", "custom"), '{"input":"free"}', False),
    ],
)
def test_arguments_are_an_object_whatever_they_were(call, arguments, changed):
    out = written([*HI, Message("assistant", (call,))])
    assert f'"arguments":{arguments}}}'.encode() in out.body
    expected = [("messages[1].content[0].arguments", "changed")] if changed else []
    assert [(loss.path, loss.action) for loss in out.losses] == expected


@pytest.mark.pitfall(93)
def test_reasoning_is_replayed_to_whom_may_have_thought_it():
    own = [Thinking("a"), Thinking("b", family="ollama"), Thinking("c", family="chat")]
    turns = [*HI, Message("assistant", (*own, Text("x")))]
    assert sent(turns)["messages"][1] == {"role": "assistant", "content": "x", "thinking": "abc"}
    foreign = [Thinking("a", "sig", family="anthropic"), Thinking(encrypted="e", redacted=True)]
    turns = [*HI, Message("assistant", (*foreign, Text("x")))]
    assert sent(turns)["messages"][1] == {"role": "assistant", "content": "x"}
    assert lost(turns) == [(f"messages[1].content[{n}]", "dropped") for n in (0, 1)]


def test_marks_and_signatures_of_calls_are_told_as_lost():
    call = ToolCall(
        "c", "f", "{}", signature="s", cache=CacheMark(), ext={"chat": {"k": Raw(b"1")}}
    )
    assert lost(
        [*HI, Message("assistant", (call,), name="bob", ext={"chat": {"z": Raw(b"1")}})]
    ) == [
        ("messages[1].name", "dropped"),
        ("messages[1].content[0].signature", "dropped"),
        ("messages[1].content[0].cache_control", "dropped"),
        ("messages[1].content[0].k", "dropped"),
        ("messages[1].z", "dropped"),
    ]


# --------------------------------------------------------------------------- tools

F = FunctionTool("f", "d", Raw(b'{"type":"object"}'))
G = FunctionTool("g")


def names(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


@pytest.mark.pitfall(59)
def test_tools_have_a_schema_each():
    anyof = FunctionTool("h", schema=Raw(b'{"anyOf":[]}'))
    bare = FunctionTool("i", schema=Raw(b"{}"))
    typeless = FunctionTool("j", schema=Raw(b'{"required":[]}'))
    tools = sent(tools=(F, G, anyof, bare, typeless))["tools"]
    assert tools[0] == {
        "type": "function",
        "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
    }
    empty = {"type": "object", "properties": {}}
    assert [tool["function"]["parameters"] for tool in tools[1:]] == [
        empty,
        {"type": "object", "anyOf": []},
        empty,
        {"type": "object", "required": [], "properties": {}},
    ]


@pytest.mark.pitfall(54)
@pytest.mark.parametrize(
    ("choice", "offered", "instructed"),
    [
        (ToolChoice("auto"), ["f", "g"], False),
        (ToolChoice("none"), [], False),
        (ToolChoice("required"), ["f", "g"], True),
        (ToolChoice("named", ("g",)), ["g"], True),
        (ToolChoice("allowed", ("f",)), ["f"], False),
        (ToolChoice("allowed", ("f",), required=True), ["f"], True),
    ],
)
def test_a_choice_is_made_by_what_is_offered_and_by_words(choice, offered, instructed):
    body = sent(tools=(F, G), tool_choice=choice, system=(Text("s"),))
    assert names(body) == offered
    told = [item["content"] for item in body["messages"] if item["role"] == "system"]
    assert (len(told) == 2) is instructed
    expected = [] if choice.mode == "auto" else [("tool_choice", "emulated")]
    assert lost(tools=(F, G), tool_choice=choice) == expected


def test_without_tools_there_is_nothing_to_choose():
    assert lost(tool_choice=ToolChoice("required")) == [("tool_choice", "dropped")]
    assert lost(tool_choice=ToolChoice("none")) == []
    assert len(sent(tool_choice=ToolChoice("required"))["messages"]) == 1


@pytest.mark.pitfall(58)
@pytest.mark.pitfall(65)
def test_tools_that_ollama_cannot_have_are_refused():
    assert refused(tools=(F, G, F)) == "tools[2]"
    assert (
        refused(tools=(F, HostedTool("anthropic", "web_search_20250305", Raw(b"{}"))))
        == "tools[1]"
    )
    mute = Target("ollama", "llama3", capability=Capability(tools=False))
    assert refused(target=mute, tools=(F,)) == "tools"


@pytest.mark.pitfall(67)
def test_a_free_text_tool_is_a_function_of_one_text_and_undone():
    grammar = Raw(b'{"type":"grammar","grammar":{"definition":"x","syntax":"lark"}}')
    tool = CustomTool("sql", "d", grammar)
    out = written(tools=(tool,))
    parameters = json.loads(out.body)["tools"][0]["function"]["parameters"]
    assert parameters["required"] == ["input"]
    assert out.undo.custom_tools == frozenset({"sql"})
    assert [(loss.path, loss.action) for loss in out.losses] == [
        ("tools[0].custom.format", "emulated")
    ]


def test_what_a_tool_cannot_say_is_told():
    tool = FunctionTool("f", strict=True, cache=CacheMark(), ext={"anthropic": {"x": Raw(b"1")}})
    assert lost(tools=(tool,), parallel_tools=False) == [
        ("parallel_tool_calls", "dropped"),
        ("tools[0].strict", "dropped"),
        ("tools[0].cache_control", "dropped"),
        ("tools[0].x", "dropped"),
    ]


# --------------------------------------------------------------------------- everything else


@pytest.mark.pitfall(122)
def test_sampling_and_the_bound_are_options():
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        min_p=0.1,
        seed=1,
        frequency_penalty=0.2,
        presence_penalty=0.3,
        repetition_penalty=1.1,
        stop=("a", "b"),
        logprobs=True,
        top_logprobs=2,
        logit_bias={"5": 1.0},
    )
    body = sent(sampling=sampling, max_tokens=9)
    assert body["options"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "min_p": 0.1,
        "seed": 1,
        "frequency_penalty": 0.2,
        "presence_penalty": 0.3,
        "repeat_penalty": 1.1,
        "stop": ["a", "b"],
        "num_predict": 9,
    }
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert lost(sampling=sampling) == [("logit_bias", "dropped")]


@pytest.mark.pitfall(115)
@pytest.mark.pitfall(170)
def test_what_would_change_the_answer_is_refused():
    assert refused(sampling=Sampling(n=2)) == "n"
    assert refused(max_tokens=0) == "max_tokens"
    assert refused(output=Output(modalities=("text", "audio"))) == "modalities"
    assert refused(ext={"chat": {"web_search_options": Raw(b"{}")}}) == "web_search_options"
    assert refused(ext={"gemini": {"safetySettings": Raw(b"[1]")}}) == "safetySettings"
    assert refused(()) == "messages"
    assert sent(sampling=Sampling(n=1))["model"] == "llama3"


@pytest.mark.pitfall(107)
@pytest.mark.parametrize(
    ("wish", "think", "losses"),
    [
        (Reasoning(), None, []),
        (Reasoning("enabled"), True, []),
        (Reasoning("adaptive"), None, []),
        (Reasoning("disabled"), False, []),
        (Reasoning(effort="none"), False, []),
        (Reasoning(effort="minimal"), "low", [("reasoning_effort", "changed")]),
        (Reasoning(effort="low"), "low", []),
        (Reasoning(effort="medium"), "medium", []),
        (Reasoning(effort="high"), "high", []),
        (Reasoning(effort="xhigh"), "max", [("reasoning_effort", "changed")]),
        (Reasoning("adaptive", effort="max"), "max", []),
        (Reasoning("enabled", budget=2048), True, [("reasoning.max_tokens", "changed")]),
        (Reasoning(visibility="summary"), None, [("reasoning.visibility", "dropped")]),
        (Reasoning("enabled", visibility="hidden"), True, [("reasoning.visibility", "dropped")]),
    ],
)
def test_a_wish_to_think_is_a_level_or_a_yes(wish, think, losses):
    assert sent(reasoning=wish).get("think") == think
    assert lost(reasoning=wish) == losses


def test_a_model_that_does_not_reason_is_not_asked_to():
    plain = Target("ollama", "llama3", capability=Capability(reasons=False))
    assert "think" not in sent(target=plain, reasoning=Reasoning("enabled"))
    assert lost(target=plain, reasoning=Reasoning("enabled")) == [("reasoning_effort", "dropped")]
    assert lost(target=plain, reasoning=Reasoning("disabled")) == []


def test_the_form_of_the_answer():
    schema = Output("json_schema", Raw(b'{"type":"object"}'), "n", "d", strict=True)
    assert sent(output=schema)["format"] == {"type": "object"}
    assert lost(output=schema) == [("response_format.json_schema.description", "dropped")]
    assert sent(output=Output("json"))["format"] == "json"
    assert sent(output=Output("json_schema"))["format"] == "json"
    assert lost(output=Output(verbosity="low", audio=Raw(b"{}"))) == [
        ("audio", "dropped"),
        ("verbosity", "dropped"),
    ]


def test_what_is_about_the_call_is_told_as_lost():
    members = {
        "end_user": "u",
        "metadata": {"a": "b"},
        "store": True,
        "safety_id": "s",
        "cache_key": "k",
        "cache_retention": "24h",
        "prediction": Raw(b"{}"),
        "cache": CacheMark(),
        "service_tier": "flex",
        "ext": {"chat": {"seedling": Raw(b"1"), "off": Raw(b"false")}, "ollama": {}},
    }
    told = {path for path, _ in lost(**members)}
    assert told == {
        *("user", "metadata", "store", "safety_identifier", "prompt_cache_key"),
        *("prompt_cache_retention", "prediction", "cache_control", "service_tier", "seedling"),
    }
    assert lost(store=False, metadata={}, service_tier="auto") == []


def test_ollamas_own_members_come_back_and_quirks_come_last():
    ext = {"ollama": {"keep_alive": Raw(b'"5m"'), "options.num_ctx": Raw(b"4096")}}
    quirks = Quirks(rename={"keep_alive": "ttl"}, drop=("think",))
    target = Target("own", "m", quirks)
    body = sent(target=target, ext=ext, reasoning=Reasoning("enabled"))
    assert (body["ttl"], body["options"], "think" in body) == ("5m", {"num_ctx": 4096}, False)
    assert lost(target=target, reasoning=Reasoning("enabled")) == [("think", "dropped")]


# --------------------------------------------------------------------------- the same dialect


@pytest.mark.pitfall(122)
@pytest.mark.pitfall(121)
@pytest.mark.parametrize("dialect", [OLLAMA, GENERATE], ids=lambda one: one.family)
def test_within_the_dialect_only_the_top_level_is_touched(dialect):
    members = {
        "model": Raw(b'"ollama/llama3"'),
        "messages": Raw(b'[ {"role":"user", "content":"\\u00e4", "new": 1e2} ]'),
        "options": Raw(b'{"num_ctx":4096 , "x":[1.0]}'),
        "keep_alive": Raw(b"-1"),
        "routing": Raw(b"{}"),
        "models": Raw(b"[]"),
        "unknown": Raw(b"null"),
    }
    out = dialect.patch_request(members, TARGET)
    assert out.body == (
        b'{"model":"llama3","messages":[ {"role":"user", "content":"\\u00e4", "new": 1e2} ],'
        b'"options":{"num_ctx":4096 , "x":[1.0]},"keep_alive":-1,"unknown":null}'
    )
    quirky = Target("own", "m", Quirks(rename={"options": "opts"}, drop=("keep_alive",)))
    out = dialect.patch_request(members, quirky)
    assert b'"opts":{"num_ctx":4096' in out.body
    assert [loss.path for loss in out.losses] == ["keep_alive"]


# --------------------------------------------------------------------------- prompts


def prompted(messages: Any = HI, **members: Any) -> Outgoing:
    return GENERATE.write_request(Request("x", tuple(messages), **members), TARGET)


def test_one_message_is_a_prompt():
    out = prompted(user(Text("a"), PNG, Text("b")), system=(Text("s"), Text("t")), stream=True)
    assert json.loads(out.body) == {
        "model": "llama3",
        "prompt": "a\nb",
        "system": "s\nt",
        "images": ["iVBORw0KGgo="],
        "stream": True,
    }
    assert out.losses == ()
    named = prompted([Message("user", (Text("a"),), "bob", ext={"chat": {"z": Raw(b"1")}})])
    assert [loss.path for loss in named.losses] == ["messages[0].name", "messages[0].z"]


@pytest.mark.parametrize(
    ("messages", "members", "param"),
    [
        ([*HI, *HI], {}, "messages"),
        ([CALL], {}, "messages"),
        (user(ToolResult("c1")), {}, "messages"),
        (HI, {"tools": (F,)}, "tools"),
        (HI, {"system": (PNG,)}, "system"),
        (HI, {"sampling": Sampling(n=3)}, "n"),
    ],
)
def test_what_is_no_prompt_is_refused(messages, members, param):
    with pytest.raises(CallerError) as caught:
        prompted(messages, **members)
    assert caught.value.param == param
