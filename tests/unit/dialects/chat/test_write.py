"""Writing canonical requests for providers of the chat family."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.loss import Loss
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
from dragoman.dialects.base import Target
from dragoman.dialects.chat.draft import open_draft
from dragoman.dialects.chat.write import write_request
from dragoman.dialects.chat.write_media import write_media

IMAGE = Media("image", Inline("AAAA", "image/png"))
PDF = Media("document", Inline("JVBERi0=", "application/pdf"), filename="a.pdf")
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
OBJECT = Raw(b'{"type":"object", "x":1.0}')


def target(flavour="openai", capability=None, **quirks):
    return Target("prov", "real", Quirks(flavour=flavour, **quirks), capability or Capability())


def ask(*turns, **members):
    turns = [turn if isinstance(turn, Message) else Message("user", (turn,)) for turn in turns]
    return Request("asked", tuple(turns) or (Message("user", (Text("hi"),)),), **members)


def user(*parts):
    return Message("user", parts)


def assistant(*parts, **more):
    return Message("assistant", parts, **more)


def write(request, flavour="openai", capability=None, **quirks):
    return write_request(request, target(flavour, capability, **quirks))


def body(request, flavour="openai", capability=None, **quirks):
    return json.loads(write(request, flavour, capability, **quirks).body)


def messages(*turns, flavour="openai", system=()):
    return body(ask(*turns, system=system), flavour)["messages"]


def refused(request, flavour="openai", capability=None):
    with pytest.raises(CallerError) as caught:
        write(request, flavour, capability)
    assert caught.value.status == 400
    return caught.value


def paths(request, flavour="openai", capability=None):
    return [loss.path for loss in write(request, flavour, capability).losses]


# ------------------------------------------------------------------ messages


def test_writing_is_pure_and_says_the_providers_model():
    request = ask(stream=True)
    assert write(request) == write(request)
    assert body(request)["model"] == "real"


@pytest.mark.req("R-XLATE-002", "R-XLATE-007")
@pytest.mark.pitfall(84)
def test_one_text_is_a_string_and_several_stay_apart():
    turns = (user(Text("a")), assistant(Text("b"), Text("c")))
    assert messages(*turns, system=(Text("s"),)) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}],
        },
    ]


@pytest.mark.pitfall(84)
def test_a_plain_server_gets_strings():
    turns = (user(Text("a"), Text("b")), assistant(Text("c"), Text("d")))
    found = messages(*turns, system=(Text("s"), Text("t")), flavour="plain")
    assert [message["content"] for message in found] == ["s\nt", "a\nb", "cd"]


@pytest.mark.pitfall(74, 75)
def test_instructions_have_the_role_that_the_model_knows():
    request = ask(
        user(Text("a")),
        Message("system", (Text("b"),), role_name="developer"),
        Message("system", (Text("c"),)),
        system=(Text("s"),),
    )

    def roles(flavour, capability=None):
        return [message["role"] for message in body(request, flavour, capability)["messages"]]

    assert roles("openai") == ["system", "user", "developer", "system"]
    modern = Capability(reasons_by_default=True)
    assert roles("openai", modern) == ["developer", "user", "developer", "developer"]
    assert roles("plain", modern) == ["system", "user", "system", "system"]


@pytest.mark.pitfall(77)
def test_names_go_where_they_are_taken():
    request = ask(
        Message("user", (Text("a"),), name="ann"),
        system=(Text("s", ext={"chat": {"name": Raw(b'"boss"')}}), Text("t")),
    )
    assert body(request)["messages"] == [
        {
            "role": "system",
            "content": [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}],
            "name": "boss",
        },
        {"role": "user", "content": "a", "name": "ann"},
    ]
    assert "name" not in json.dumps(body(request, "mistral"))
    assert paths(request, "mistral") == ["system[0].name", "messages[0].name"]


@pytest.mark.pitfall(71)
def test_neighbours_of_one_role_are_not_merged():
    assert len(messages(user(Text("a")), user(Text("b")))) == 2


def test_an_empty_user_turn_stays_a_turn():
    assert messages(user()) == [{"role": "user", "content": ""}]


# ------------------------------------------------------------------ calls and results


def called(*ids, **more):
    return assistant(*(ToolCall(i, "f", "{}", **more) for i in ids))


@pytest.mark.pitfall(28, 34, 69)
@pytest.mark.req("R-XLATE-005")
@pytest.mark.parametrize(
    ("given", "sent"), [("", "{}"), ("  ", "{}"), ('{"é": 1.0}', '{"é": 1.0}'), ("{cut", "{cut")]
)
def test_arguments_are_the_original_text_and_nothing_is_an_object(given, sent):
    assert messages(assistant(ToolCall("c1", "f", given))) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": sent}}
            ],
        }
    ]


@pytest.mark.pitfall(47, 48)
@pytest.mark.req("R-XLATE-006", "R-XLATE-008")
def test_results_come_first_one_message_each_in_the_order_of_their_calls():
    found = messages(
        called("1", "2"),
        user(Text("so?"), ToolResult("2", (Text("b"),)), ToolResult("1", (Text("a"),))),
    )
    assert found[1:] == [
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "tool", "tool_call_id": "2", "content": "b"},
        {"role": "user", "content": "so?"},
    ]


def test_results_of_neighbouring_turns_all_come_before_any_words():
    found = messages(
        called("1", "2"), user(ToolResult("1"), Text("x")), user(ToolResult("2")), user(Text("y"))
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user", "user"]


@pytest.mark.pitfall(53)
def test_an_empty_result_is_an_empty_text_and_a_failure_is_said():
    found = messages(
        called("1", "2", "3"),
        user(
            ToolResult("1"),
            ToolResult("2", (Text("bad"), Text("luck")), is_error=True),
            ToolResult("3", (), is_error=True),
        ),
    )
    texts = [{"type": "text", "text": "Error: bad"}, {"type": "text", "text": "luck"}]
    assert [message["content"] for message in found[1:]] == ["", texts, "Error: "]


@pytest.mark.pitfall(52)
def test_an_image_in_a_result_moves_behind_all_results():
    found = messages(
        called("1", "2"),
        user(
            ToolResult("1", (Text("see"), IMAGE)),
            ToolResult("2", (IMAGE,), is_error=True),
            Text("so?"),
        ),
    )
    assert [message["role"] for message in found] == ["assistant", "tool", "tool", "user", "user"]
    assert found[1]["content"] == "see"
    assert found[2]["content"] == "Error: [image: see the next user message]"
    assert found[3]["content"] == [
        {"type": "text", "text": "[image from tool call 1]"},
        IMAGE_PART,
        {"type": "text", "text": "[image from tool call 2]"},
        IMAGE_PART,
    ]
    assert found[4]["content"] == "so?"


@pytest.mark.pitfall(52)
@pytest.mark.parametrize("flavour", ["groq", "openrouter", "mistral"])
def test_an_image_in_a_result_stays_where_that_is_allowed(flavour):
    found = messages(called("1"), user(ToolResult("1", (IMAGE,))), flavour=flavour)
    assert found[1] == {"role": "tool", "tool_call_id": "1", "content": [IMAGE_PART]}


def test_a_failure_that_is_only_an_image_is_said_before_it():
    found = messages(called("1"), user(ToolResult("1", (IMAGE,), is_error=True)), flavour="groq")
    assert found[1]["content"] == [{"type": "text", "text": "Error: "}, IMAGE_PART]


def test_a_document_in_a_result_moves_even_there():
    found = messages(called("1"), user(ToolResult("1", (PDF,))), flavour="openrouter")
    assert found[1]["content"] == "[document: see the next user message]"
    assert found[2]["content"][1]["type"] == "file"


@pytest.mark.pitfall(33)
def test_an_id_that_is_too_long_is_hashed_the_same_on_both_sides():
    long, other = "fc_" + "x" * 60, "fc_" + "x" * 61
    found = messages(called(long, other), user(ToolResult(long), ToolResult(other)))
    sent = [made["id"] for made in found[0]["tool_calls"]]
    assert sent == [found[1]["tool_call_id"], found[2]["tool_call_id"]]
    assert len(set(sent)) == 2
    assert all(len(made) <= 29 for made in sent)


@pytest.mark.pitfall(57)
def test_names_that_are_refused_are_renamed_and_can_be_changed_back():
    long = "n" * 70
    names = ["my.tool", "my_tool", "", long, "fine"]
    request = ask(
        assistant(ToolCall("1", "my.tool")),
        tools=tuple(FunctionTool(name) for name in names),
        tool_choice=ToolChoice("named", (long,)),
    )
    out = write(request)
    sent = json.loads(out.body)
    tools = [tool["function"]["name"] for tool in sent["tools"]]
    assert len(set(tools)) == 5
    assert all(0 < len(name) <= 64 and name.replace("_", "a").isalnum() for name in tools)
    assert tools[1] == "my_tool"
    assert tools[4] == "fine"
    assert sent["messages"][0]["tool_calls"][0]["function"]["name"] == tools[0]
    assert sent["tool_choice"]["function"]["name"] == tools[3]
    assert out.undo.tool_names == {tools[0]: "my.tool", tools[2]: "", tools[3]: long}


def test_a_name_needs_no_hash_where_its_plain_form_is_free():
    request = ask(tools=(FunctionTool("a.b"),))
    assert write(request).undo.tool_names == {"a_b": "a.b"}


def test_what_belongs_to_calls_alone_is_lost_with_a_word():
    made = ToolCall(
        "1", "f", "{}", signature="s", cache=CacheMark(), ext={"anthropic": {"caller": Raw(b"1")}}
    )
    request = ask(assistant(made))
    assert (
        paths(request)
        == [
            "messages[0].content[0].signature",
            "messages[0].content[0].cache_control",
            "messages[0].content[0].caller",
            "messages[0]",
        ][:3]
    )


# ------------------------------------------------------------------ the assistant's other words


@pytest.mark.pitfall(86)
def test_a_refusal_has_its_member_or_is_text():
    turn = assistant(Refusal("no"), Refusal("never"))
    assert messages(turn, user())[0] == {
        "role": "assistant",
        "content": None,
        "refusal": "no\nnever",
    }
    assert messages(turn, user(), flavour="plain")[0]["content"] == "nonever"


@pytest.mark.pitfall(93)
@pytest.mark.parametrize("flavour", ["openai", "plain"])
def test_reasoning_without_a_place_is_dropped_and_never_shown(flavour):
    request = ask(assistant(Thinking("secret", signature="s", family="anthropic")), user())
    out = write(request, flavour)
    assert b"secret" not in out.body
    assert json.loads(out.body)["messages"][0]["content"] == ""
    assert [loss.path for loss in out.losses] == ["messages[0].content[0]"]


@pytest.mark.pitfall(87)
def test_spoken_history_is_an_id_at_home_and_words_elsewhere():
    own = Media("audio", FileRef("a1", "chat"), transcript="hello")
    assert messages(assistant(own), user())[0] == {
        "role": "assistant",
        "content": None,
        "audio": {"id": "a1"},
    }
    assert messages(assistant(own), user(), flavour="groq")[0]["content"] == "hello"
    foreign = Media("audio", FileRef("a1", "responses"))
    assert refused(ask(assistant(foreign))).param == "messages[0].content[0]"


@pytest.mark.pitfall(76)
def test_a_prefill_that_nobody_continues_is_told():
    request = ask(user(Text("a")), assistant(Text("Once")))
    assert paths(request, "openai") == ["messages[1]"]
    assert paths(request, "plain") == []
    assert paths(request, "plain", Capability(prefill=False)) == ["messages[1]"]
    assert paths(ask(called("1")), "openai") == []


# ------------------------------------------------------------------ parts


def test_citations_in_the_history_are_told_as_lost():
    part = Text("a", citations=(Citation("url"),))
    assert paths(ask(assistant(part), user())) == ["messages[0].content[0].citations"]


@pytest.mark.pitfall(124)
def test_cache_marks_are_spelled_as_the_provider_spells_them():
    request = ask(
        user(Text("a", cache=CacheMark("1h")), replace(IMAGE, cache=CacheMark())),
        assistant(Text("b", cache=CacheMark())),
        called("1"),
        user(ToolResult("1", (Text("r"),), cache=CacheMark("5m"))),
        system=(Text("s", cache=CacheMark("30m")),),
        tools=(FunctionTool("f", cache=CacheMark()),),
        cache=CacheMark(),
    )
    out = write(request)
    sent = json.loads(out.body)["messages"]
    assert sent[0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "30m"}
    assert sent[1]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit", "ttl": "12h"}
    assert sent[1]["content"][1]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert sent[4]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert [(loss.path, loss.action) for loss in out.losses] == [
        ("messages[0].content[0].cache_control.ttl", "changed"),
        ("messages[1].content.cache_control", "dropped"),
        ("messages[3].content[0].cache_control.ttl", "changed"),
        ("tools[0].cache_control", "dropped"),
        ("cache_control", "dropped"),
    ]
    out = write(request, "openrouter")
    sent = json.loads(out.body)
    assert sent["cache_control"] == sent["tools"][0]["cache_control"] == {"type": "ephemeral"}
    found = [m["content"][0].get("cache_control") for m in sent["messages"] if m["content"]]
    assert found == [
        {"type": "ephemeral", "ttl": "1h"},
        {"type": "ephemeral", "ttl": "1h"},
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "5m"},
    ]
    assert [loss.path for loss in out.losses] == [
        "system[0].cache_control.ttl",
        "messages[0].content[1].cache_control",
    ]
    assert len(paths(request, "groq")) == 7


def test_a_mark_on_a_result_without_text_is_told():
    turn = user(ToolResult("1", (), cache=CacheMark()))
    assert paths(ask(called("1"), turn)) == ["messages[1].content[0].cache_control"]


def test_members_of_the_family_come_back_and_those_of_others_are_told():
    ext = {"chat": {"odd": Raw(b"1")}, "anthropic": {"strange": Raw(b"2")}}
    request = ask(
        Message("user", (Text("a", ext=ext), replace(IMAGE, ext=ext)), ext=ext),
        tools=(
            FunctionTool("f", ext={"chat": {"eager": Raw(b"true"), "function": Raw(b'{"x":1}')}}),
            FunctionTool("g", ext=ext),
        ),
        ext=ext,
    )
    out = write(request)
    sent = json.loads(out.body)
    message = sent["messages"][0]
    tools = sent["tools"]
    odd = [
        sent["odd"],
        message["odd"],
        *(part["odd"] for part in message["content"]),
        tools[1]["odd"],
    ]
    assert odd == [1, 1, 1, 1, 1]
    assert (tools[0]["eager"], tools[0]["function"]["x"]) == (True, 1)
    assert [loss.path for loss in out.losses] == [
        "messages[0].content[0].strange",
        "messages[0].content[1].strange",
        "messages[0].strange",
        "tools[1].strange",
        "strange",
    ]


def test_members_of_a_turn_of_results_are_told():
    turn = Message("user", (ToolResult("1"),), ext={"anthropic": {"odd": Raw(b"1")}})
    assert paths(ask(called("1"), turn)) == ["messages[1].odd"]


@pytest.mark.req("R-XLATE-011", "R-TOOL-003")
def test_media_have_their_parts():
    wav = Media("audio", Inline("AAAA", "audio/wav"))
    parts = (
        Media("image", Url("https://x/y"), detail="original"),
        PDF,
        replace(PDF, filename=None, title="T", context="C"),
        wav,
    )
    assert messages(user(*parts))[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://x/y", "detail": "original"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        },
        {"type": "text", "text": "C"},
        {
            "type": "file",
            "file": {"filename": "T", "file_data": "data:application/pdf;base64,JVBERi0="},
        },
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]


@pytest.mark.pitfall(185)
@pytest.mark.parametrize("flavour", ["openai", "plain", "groq", "deepseek"])
def test_a_document_by_address_is_refused_where_nobody_fetches_it(flavour):
    request = ask(Media("document", Url("https://x/a.pdf")))
    assert refused(request, flavour).param == "messages[0].content[0]"


def test_documents_by_address_go_where_they_are_taken():
    part = Media("document", Url("https://x/a.pdf"), filename="a")
    assert messages(part, flavour="openrouter")[0]["content"] == [
        {"type": "file", "file": {"filename": "a", "file_data": "https://x/a.pdf"}}
    ]
    assert messages(part, flavour="mistral")[0]["content"] == [
        {"type": "document_url", "document_url": "https://x/a.pdf", "document_name": "a"}
    ]
    nameless = messages(replace(part, filename=None), flavour="mistral")[0]["content"][0]
    assert "document_name" not in nameless


@pytest.mark.pitfall(82)
def test_a_stored_file_stays_with_its_provider():
    own = Media("document", FileRef("file-1", "chat"), filename="n")
    assert messages(own)[0]["content"] == [
        {"type": "file", "file": {"file_id": "file-1", "filename": "n"}}
    ]
    for kind in ("image", "document"):
        error = refused(ask(Media(kind, FileRef("file_2", "anthropic"))))
        assert error.param == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Media("document", TextDoc("body"), title="Title"), "Title\n\nbody"),
        (
            Media("document", TextDoc("body"), title="T", context="C", citations_enabled=True),
            "T\n\nC\n\nbody",
        ),
        (Media("document", Inline("Ym9keQ==", "text/plain")), "body"),
        (Media("document", Inline("Ym9keQ==", "text/csv"), filename="a.csv"), "a.csv\n\nbody"),
    ],
)
@pytest.mark.parametrize("flavour", ["openai", "plain", "groq"])
def test_a_text_document_is_text_under_its_title(part, words, flavour):
    out = write(ask(part), flavour)
    assert json.loads(out.body)["messages"] == [{"role": "user", "content": words}]
    assert Loss("messages[0].content[0]", "a text document became text", "emulated") in out.losses
    told = {loss.path for loss in out.losses}
    assert ("messages[0].content[0].citations" in told) is bool(part.citations_enabled)


def test_a_text_file_in_another_encoding_is_refused():
    assert (
        refused(ask(Media("document", Inline("/w==", "text/plain")))).kind == "unsupported_feature"
    )


def test_documents_and_search_results_of_parts_become_their_parts():
    document = Media("document", PartsDoc((Text("a"), IMAGE)), title="T", cache=CacheMark())
    found = SearchResult("https://s", "Found", (Text("b"),), cache=CacheMark())
    content = messages(user(document, found))[0]["content"]
    assert [part.get("text") for part in content] == ["T", "a", None, "Found\nhttps://s", "b"]
    assert "prompt_cache_breakpoint" in content[2]
    assert "prompt_cache_breakpoint" in content[4]
    bare = Media("document", PartsDoc(()))
    assert messages(user(bare, replace(found, parts=())))[0]["content"] == "Found\nhttps://s"


@pytest.mark.pitfall(83)
def test_a_sound_in_a_format_that_nobody_decodes_is_refused():
    part = Media("audio", Inline("AAAA", "audio/flac"))
    assert "wav or mp3" in refused(ask(part)).message
    sent = messages(part, flavour="openrouter")[0]["content"][0]
    assert sent["input_audio"]["format"] == "flac"
    sent = messages(replace(part, source=Inline("AAAA", "audio/mpeg")))[0]["content"][0]
    assert sent["input_audio"]["format"] == "mp3"
    assert messages(part, flavour="mistral")[0]["content"][0]["input_audio"] == "AAAA"
    by_address = replace(part, source=Url("https://x/a"))
    assert messages(by_address, flavour="mistral")[0]["content"][0]["input_audio"] == "https://x/a"
    assert refused(ask(by_address)).param == "messages[0].content[0]"
    assert refused(ask(part), "groq").param == "messages[0].content[0]"


def test_films_go_to_openrouter_alone():
    part = Media("video", Inline("AAAA", "video/mp4"))
    sent = messages(part, flavour="openrouter")[0]["content"][0]
    assert sent == {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
    assert refused(ask(part)).param == "messages[0].content[0]"


@pytest.mark.parametrize(
    ("part", "lacks"),
    [
        (IMAGE, Capability(images=False)),
        (PDF, Capability(documents=False)),
        (Media("audio", Inline("AAAA", "audio/wav")), Capability(audio_input=False)),
    ],
)
def test_what_a_model_cannot_take_is_refused(part, lacks):
    assert "prov/real" in refused(ask(part), capability=lacks).message


def test_an_unknown_detail_is_dropped_with_a_word():
    request = ask(Media("image", Url("https://x/y"), detail="original"))
    assert paths(request, "groq") == ["messages[0].content[0].detail"]
    assert b"original" not in write(request, "groq").body


@pytest.mark.pitfall(88)
def test_blocks_that_only_one_dialect_understands_are_refused_elsewhere():
    own = Opaque("chat", "document", Raw(b'{"type":"document","document":{}}'))
    assert messages(own)[0]["content"] == [{"type": "document", "document": {}}]
    foreign = Opaque("anthropic", "server_tool_use", Raw(b"{}"))
    assert refused(ask(foreign)).param == "messages[0].content[0]"


def test_a_tool_that_joins_later_is_on_offer_from_the_start():
    added = Opaque("anthropic", "tool_addition", Raw(b"{}"))
    request = ask(user(Text("a")), Message("system", (added,)), user(Text("b")))
    out = write(request)
    assert len(json.loads(out.body)["messages"]) == 2
    assert [(loss.path, loss.action) for loss in out.losses] == [
        ("messages[1].content[0]", "emulated")
    ]


def test_instructions_that_say_nothing_leave_no_message():
    added = Opaque("anthropic", "tool_addition", Raw(b"{}"))
    assert messages(user(Text("a")), system=(added,)) == [{"role": "user", "content": "a"}]


def test_words_have_no_address():
    request = ask()
    with pytest.raises(CallerError) as caught:
        write_media(Media("image", TextDoc("x")), "here", open_draft(request, target()))
    assert caught.value.param == "here"


def test_thinking_and_calls_on_the_wrong_side():
    assert paths(ask(user(Thinking("a"), Text("b")))) == ["messages[0].content[0]"]
    assert refused(ask(user(ToolCall("1", "f")))).param == "messages[0].content[0]"


# ------------------------------------------------------------------ tools


F = FunctionTool("f", "does f", OBJECT)


@pytest.mark.req("R-XLATE-009", "R-TOOL-001")
def test_a_function_keeps_its_schema_byte_for_byte():
    out = write(ask(tools=(replace(F, strict=False),)))
    assert bytes(OBJECT) in out.body
    assert json.loads(out.body)["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "does f",
                "parameters": {"type": "object", "x": 1.0},
                "strict": False,
            },
        }
    ]


@pytest.mark.pitfall(59)
@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (b"{}", {"type": "object", "properties": {}}),
        (b'{"title":"x"}', {"type": "object", "title": "x", "properties": {}}),
        (b'{"properties":{"a":{}}}', {"type": "object", "properties": {"a": {}}}),
        (b'{"anyOf":[]}', {"type": "object", "anyOf": []}),
        (b'{"$ref":"#/x"}', {"type": "object", "$ref": "#/x"}),
    ],
)
def test_a_schema_is_an_object_with_a_type(schema, sent):
    tool = FunctionTool("f", schema=Raw(schema))
    assert body(ask(tools=(tool,)))["tools"][0]["function"]["parameters"] == sent


@pytest.mark.pitfall(59)
def test_a_function_without_parameters():
    request = ask(tools=(FunctionTool("f"),))
    assert "parameters" not in body(request)["tools"][0]["function"]
    assert body(request, "groq")["tools"][0]["function"]["parameters"]["properties"] == {}


@pytest.mark.pitfall(62)
def test_strictness_is_said_only_where_it_was_said():
    assert "strict" not in body(ask(tools=(F,)))["tools"][0]["function"]
    strict = ask(tools=(replace(F, strict=True),))
    assert paths(strict, "deepseek") == ["tools[0].strict"]
    assert paths(ask(tools=(replace(F, strict=False),)), "deepseek") == []


@pytest.mark.pitfall(58)
def test_two_tools_of_one_name_are_refused():
    assert refused(ask(tools=(F, CustomTool("f")))).param == "tools[1]"


@pytest.mark.pitfall(67)
def test_free_text_tools_are_native_or_wrapped_and_can_be_unwrapped():
    grammar = Raw(b'{"type":"grammar","grammar":{}}')
    request = ask(
        assistant(ToolCall("1", "patch", 'say "hi"', "custom")),
        user(ToolResult("1")),
        tools=(
            CustomTool("patch", "d", grammar),
            CustomTool("free"),
            CustomTool("txt", format=Raw(b'{"type":"text"}')),
        ),
        tool_choice=ToolChoice("named", ("patch",), "custom"),
    )
    sent = body(request)
    assert sent["tools"][0] == {
        "type": "custom",
        "custom": {
            "name": "patch",
            "description": "d",
            "format": {"type": "grammar", "grammar": {}},
        },
    }
    assert sent["tools"][1] == {"type": "custom", "custom": {"name": "free"}}
    assert sent["tool_choice"] == {"type": "custom", "custom": {"name": "patch"}}
    assert sent["messages"][0]["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "patch", "input": 'say "hi"'}}
    ]
    out = write(request, "groq")
    sent = json.loads(out.body)
    assert sent["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "patch"}}
    made = sent["messages"][0]["tool_calls"][0]["function"]
    assert json.loads(made["arguments"]) == {"input": 'say "hi"'}
    assert out.undo.custom_tools == {"patch", "free", "txt"}
    assert [(loss.path, loss.action) for loss in out.losses] == [
        ("tools[0].custom.format", "emulated")
    ]


@pytest.mark.pitfall(65)
def test_tools_that_a_provider_runs_stay_in_their_dialect():
    foreign = HostedTool("anthropic", "web_search_20250305", Raw(b"{}"))
    error = refused(ask(tools=(F, foreign)))
    assert (error.param, error.code) == ("tools[1]", "unsupported_feature")
    own = ask(
        tools=(
            HostedTool("chat", "web_search_options", Raw(b'{"a":1}')),
            HostedTool("chat", "openrouter:x", Raw(b'{"type":"openrouter:x"}')),
        )
    )
    sent = body(own, "openrouter")
    assert (sent["web_search_options"], sent["tools"]) == ({"a": 1}, [{"type": "openrouter:x"}])


def test_a_model_without_tools_is_not_given_any():
    assert refused(ask(tools=(F,)), capability=Capability(tools=False)).param == "tools"


@pytest.mark.req("R-XLATE-010")
@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("named", ("f",)), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choices(choice, sent):
    for flavour in ("openai", "mistral", "plain"):
        assert body(ask(tools=(F,), tool_choice=choice), flavour)["tool_choice"] == sent


def test_a_choice_among_some_is_native_or_made_by_offering_no_others():
    request = ask(
        tools=(F, FunctionTool("g"), CustomTool("h")),
        tool_choice=ToolChoice("allowed", ("f", "h"), required=True),
    )
    assert body(request)["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "required",
            "tools": [
                {"type": "function", "function": {"name": "f"}},
                {"type": "custom", "custom": {"name": "h"}},
            ],
        },
    }
    assert len(body(request)["tools"]) == 3
    sent = body(request, "groq")
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f", "h"]
    assert sent["tool_choice"] == "required"
    free = replace(request, tool_choice=ToolChoice("allowed", ("g",)))
    assert body(free, "groq")["tool_choice"] == "auto"
    assert body(free)["tool_choice"]["allowed_tools"]["mode"] == "auto"


@pytest.mark.pitfall(56, 171, 183)
def test_a_model_that_cannot_be_forced_chooses_for_itself():
    request = ask(tools=(F,), tool_choice=ToolChoice("required"))
    stubborn = Capability(forced_tools=False)
    out = write(request, capability=stubborn)
    assert json.loads(out.body)["tool_choice"] == "auto"
    assert [(loss.path, loss.action) for loss in out.losses] == [("tool_choice", "changed")]
    named = replace(request, tool_choice=ToolChoice("named", ("f",)))
    assert body(named, capability=stubborn)["tool_choice"] == "auto"
    some = replace(request, tool_choice=ToolChoice("allowed", ("f",), required=True))
    assert body(some, "groq", stubborn)["tool_choice"] == "auto"
    thinking = replace(request, reasoning=Reasoning(effort="high"))
    assert body(thinking, "deepseek")["tool_choice"] == "auto"
    assert body(request, "deepseek")["tool_choice"] == "required"


@pytest.mark.pitfall(54)
def test_without_tools_nothing_is_said_about_them():
    request = ask(tool_choice=ToolChoice("required"), parallel_tools=False)
    assert body(request).keys() == {"model", "messages"}
    assert paths(request) == ["tool_choice", "parallel_tool_calls"]
    assert paths(ask(tool_choice=ToolChoice("auto"), parallel_tools=True)) == []


def test_parallel_calls_are_switched_off():
    assert body(ask(tools=(F,), parallel_tools=False))["parallel_tool_calls"] is False


# ------------------------------------------------------------------ parameters


@pytest.mark.pitfall(110, 187)
def test_the_bound_has_the_name_that_the_provider_reads():
    request = ask(max_tokens=100)
    assert body(request)["max_completion_tokens"] == 100
    assert "max_tokens" not in body(request)
    for flavour in ("plain", "groq", "openrouter", "mistral", "deepseek"):
        sent = body(request, flavour)
        assert (sent["max_tokens"], "max_completion_tokens" in sent) == (100, False)


@pytest.mark.pitfall(111)
def test_a_reasoning_model_gets_at_least_sixteen():
    out = write(ask(max_tokens=5), capability=Capability(reasons_by_default=True))
    assert json.loads(out.body)["max_completion_tokens"] == 16
    assert [(loss.path, loss.action) for loss in out.losses] == [("max_tokens", "changed")]
    assert body(ask(max_tokens=5))["max_completion_tokens"] == 5
    assert body(ask(max_tokens=5), "groq", Capability(reasons_by_default=True))["max_tokens"] == 5


@pytest.mark.pitfall(109, 170)
def test_zero_is_not_unset_and_unset_is_not_filled_in():
    assert refused(ask(max_tokens=0)).param == "max_tokens"
    assert body(ask()).keys() == {"model", "messages"}


@pytest.mark.pitfall(113)
@pytest.mark.req("R-ADD-016")
def test_stop_sequences():
    assert body(ask(sampling=Sampling(stop=("a", "b"))))["stop"] == ["a", "b"]
    assert refused(ask(sampling=Sampling(stop=tuple("abcde")))).param == "stop"


ALL = Sampling(
    temperature=0.5,
    top_p=0.9,
    top_k=4,
    min_p=0.1,
    seed=7,
    frequency_penalty=0.1,
    presence_penalty=0.2,
    repetition_penalty=1.1,
    logit_bias={"1": 2.0},
    n=2,
    logprobs=True,
    top_logprobs=2,
)


@pytest.mark.req("R-ADD-013", "R-ADD-016")
def test_sampling_goes_as_far_as_the_provider_takes_it():
    sent = body(ask(sampling=ALL))
    assert (sent["temperature"], sent["seed"], sent["n"], sent["logit_bias"]) == (
        0.5,
        7,
        2,
        {"1": 2.0},
    )
    assert paths(ask(sampling=ALL)) == ["top_k", "min_p", "repetition_penalty"]
    assert paths(ask(sampling=ALL), "openrouter") == []
    assert paths(ask(sampling=ALL), "mistral") == ["min_p"]


@pytest.mark.pitfall(112, 182)
def test_models_that_refuse_sampling_are_spared_it():
    strict = Capability(rejects_sampling=True)
    assert paths(ask(sampling=Sampling(temperature=0.5, top_p=1)), "openrouter", strict) == [
        "temperature"
    ]
    either = Capability(temperature_xor_top_p=True)
    assert paths(ask(sampling=Sampling(temperature=0.5, top_p=0.5)), capability=either) == [
        "top_p"
    ]
    assert paths(ask(sampling=Sampling(top_p=0.5)), capability=either) == []
    thinker = Capability(reasons_by_default=True)
    request = ask(sampling=Sampling(temperature=0.5, logprobs=True, seed=1))
    assert paths(request, capability=thinker) == ["temperature", "logprobs"]
    awake = replace(request, reasoning=Reasoning(effort="none"))
    assert paths(awake, capability=thinker) == []
    assert paths(request, "groq", thinker) == []
    told = paths(replace(request, reasoning=Reasoning(mode="enabled")), "deepseek")
    assert told == ["logprobs"]


def test_output_formats():
    assert body(ask(output=Output("json")))["response_format"] == {"type": "json_object"}
    output = Output("json_schema", OBJECT, "n", "d", strict=True)
    assert body(ask(output=output))["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "n",
            "description": "d",
            "schema": {"type": "object", "x": 1.0},
            "strict": True,
        },
    }
    assert body(ask(output=Output("json_schema")))["response_format"]["json_schema"] == {
        "name": "response"
    }


def test_a_schema_that_the_model_does_not_enforce_is_an_instruction():
    request = ask(output=Output("json_schema", OBJECT))
    out = write(request, capability=Capability(structured_output="json_object"))
    sent = json.loads(out.body)
    assert sent["response_format"] == {"type": "json_object"}
    assert '"x":1.0' in sent["messages"][0]["content"]
    assert [loss.action for loss in out.losses] == ["emulated"]
    sent = body(request, capability=Capability(structured_output="none"))
    assert "response_format" not in sent
    assert sent["messages"][0]["role"] == "system"


def test_other_modalities_are_refused_where_there_are_none():
    request = ask(output=Output(modalities=("text", "audio"), audio=Raw(b'{"voice":"x"}')))
    sent = body(request)
    assert (sent["modalities"], sent["audio"]) == (["text", "audio"], {"voice": "x"})
    assert refused(request, "groq").param == "modalities"
    silent = ask(output=Output(modalities=("text",), audio=Raw(b"{}")))
    assert paths(silent, "groq") == ["audio"]


@pytest.mark.pitfall(119, 120)
def test_what_concerns_cost_and_books_goes_where_it_is_taken():
    request = ask(
        output=Output(verbosity="low"),
        cache_key="k",
        cache_retention="24h",
        service_tier="flex",
        metadata={"a": "b"},
        end_user="u",
        safety_id="s",
        store=True,
        prediction=Raw(b"{}"),
    )
    sent = body(request)
    assert (sent["user"], sent["metadata"], sent["store"]) == ("u", {"a": "b"}, True)
    assert (sent["verbosity"], sent["service_tier"], sent["prediction"]) == ("low", "flex", {})
    assert (sent["prompt_cache_key"], sent["prompt_cache_retention"]) == ("k", "24h")
    assert sent["safety_identifier"] == "s"
    assert paths(request) == []
    assert paths(request, "deepseek") == [
        "user",
        "metadata",
        "store",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prediction",
        "verbosity",
        "service_tier",
    ]
    quiet = ask(store=False, metadata={}, service_tier="auto")
    assert paths(quiet, "deepseek") == []
    assert body(ask(service_tier="default"), "groq")["service_tier"] == "on_demand"
    assert body(ask(service_tier="default"), "mistral")["service_tier"] == "standard_only"


def test_usage_is_always_asked_for_in_a_stream():
    ext = {"chat": {"stream_options": Raw(b'{"include_obfuscation":false}')}}
    sent = body(ask(stream=True, ext=ext))
    assert sent["stream"] is True
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream" not in body(ask(ext=ext))
    assert "stream_options" not in body(ask(ext=ext))
    for told in ("always", "unsupported"):
        sent = body(ask(stream=True), usage_in_stream=told)
        assert (sent["stream"], "stream_options" in sent) == (True, False)


def test_openrouters_preferences_stay_with_openrouter():
    request = ask(preferences=Raw(b'{"zdr":true}'), ext={"chat": {"x": Raw(b"1")}})
    assert body(request, "openrouter")["provider"] == {"zdr": True}
    assert "provider" not in body(request)
    assert paths(request) == [], "routing has heeded them"


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("anthropic", "mcp_servers"),
        ("responses", "previous_response_id"),
        ("gemini", "cachedContent"),
    ],
)
def test_state_that_another_provider_holds_is_refused(dialect, name):
    assert refused(ask(ext={dialect: {name: Raw(b"1")}})).param == name
    assert paths(ask(ext={dialect: {"whim": Raw(b"1")}})) == ["whim"]


def test_quirks_are_applied_last():
    request = ask(sampling=Sampling(seed=1, logit_bias={"1": 1.0}), max_tokens=5)
    out = write(
        request,
        rename={"seed": "random_seed", "n": "best_of"},
        drop=("logit_bias", "echo"),
        steps=("reject_many",),
    )
    assert json.loads(out.body)["random_seed"] == 1
    assert [loss.path for loss in out.losses] == ["logit_bias"]


@pytest.mark.pitfall(115)
def test_many_answers_are_refused_by_the_step():
    with pytest.raises(CallerError) as caught:
        write(ask(sampling=Sampling(n=3)), "groq", steps=("reject_many",))
    assert caught.value.param == "n"
