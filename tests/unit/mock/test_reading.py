"""What the mock understands of a request, and what it refuses as the providers do."""

import pytest

from dragoman.mock.anthropic_request import read_messages, signature
from dragoman.mock.ask import Refused
from dragoman.mock.chat_request import read_chat

pytestmark = pytest.mark.req("R-MOCK-004")

USER = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}},
}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}


def chat(**more):
    return read_chat({"model": "m", "messages": [USER], **more})


def test_a_chat_request_is_read_whole():
    ask = chat(
        stream=True,
        stream_options={"include_usage": True},
        n=2,
        max_tokens=5,
        stop="x",
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
    )
    assert (ask.stream, ask.include_usage, ask.n, ask.max_tokens) == (True, True, 2, 5)
    assert (ask.stops, ask.choice, ask.parallel, ask.tools[0].name) == (("x",), "=f", False, "f")
    assert ask.input > chat().input == 5


@pytest.mark.parametrize(
    ("told", "choice"),
    [("auto", "auto"), ("none", "none"), ("required", "required"), ("any", "required")],
)
def test_the_choice_of_chat_tools_is_read(told, choice):
    assert chat(tool_choice=told).choice == choice


def test_parts_of_content_are_text_images_and_placeholders():
    parts = [
        {"type": "text", "text": "look "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "file", "file": {"file_id": "f"}},
    ]
    ask = read_chat({"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert ask.prompt == "look [file]"
    assert ask.images == ("image/png of 3 bytes", "by URL")
    assert ask.input == 3 + 2 * 85 + 4


def test_results_are_those_after_the_last_call():
    result = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
    assert read_chat({"model": "m", "messages": [USER, CALL, result]}).results == ("sunny",)
    assert read_chat({"model": "m", "messages": [USER, CALL, result, USER]}).results == ()


@pytest.mark.parametrize(
    ("more", "thinks"),
    [
        ({}, False),
        ({"reasoning_effort": "low"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning": {"effort": "high"}}, True),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"enabled": False}}, False),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"include_reasoning": True}, True),
        ({"prompt_mode": "reasoning"}, True),
    ],
)
def test_thinking_is_asked_for_in_every_spelling_of_the_family(more, thinks):
    assert chat(**more).thinks is thinks


def test_the_shape_of_the_answer_is_read():
    shape = {"type": "object"}
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": shape}}
    assert chat(response_format=asked).schema == shape
    assert chat(response_format={"type": "json_object"}).schema == {}
    assert chat(response_format={"type": "text"}).schema is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": 5, "messages": [USER]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": {}}, "messages"),
        ({"model": "m", "messages": [{"role": "king", "content": ""}]}, "messages[0].role"),
        ({"model": "m", "messages": ["hi"]}, "messages[0]"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content",
        ),
        (
            {"model": "m", "messages": [{"role": "tool", "tool_call_id": "c1", "content": "x"}]},
            "messages[0].role",
        ),
        (
            {
                "model": "m",
                "messages": [{**CALL, "tool_calls": [{"id": "c", "function": {"arguments": {}}}]}],
            },
            "messages[0].tool_calls.function.arguments",
        ),
        ({"model": "m", "messages": [USER], "stream_options": {}}, "stream_options"),
        ({"model": "m", "messages": [USER], "n": 0}, "n"),
        ({"model": "m", "messages": [USER], "max_tokens": True}, "max_tokens"),
        (
            {"model": "m", "messages": [USER], "tools": [{"function": {"description": "d"}}]},
            "tools[0].function.name",
        ),
        ({"model": "m", "messages": [USER], "tools": [{"type": "function"}]}, "tools[0].function"),
        (
            {"model": "m", "messages": [USER], "tool_choice": {"function": {"name": "g"}}},
            "tool_choice",
        ),
        ({"model": "m", "messages": [USER], "tool_choice": "perhaps"}, "tool_choice"),
        (
            {"model": "m", "messages": [USER], "response_format": {"type": "json_schema"}},
            "response_format.json_schema",
        ),
    ],
)
def test_what_openai_refuses_is_refused_and_named(body, param):
    with pytest.raises(Refused) as refusal:
        read_chat(body)
    assert (refusal.value.status, refusal.value.param) == (400, param)


def messages(*turns, **more):
    return read_messages(
        {"model": "m", "max_tokens": 2000, "messages": list(turns) or [USER], **more}
    )


def blocks(*content, role="user"):
    return {"role": role, "content": list(content)}


def text(words):
    return {"type": "text", "text": words}


def use(id_="t1"):
    return {"type": "tool_use", "id": id_, "name": "f", "input": {"a": 1}}


def result(id_="t1", content="sunny"):
    return {"type": "tool_result", "tool_use_id": id_, "content": content}


def test_an_anthropic_request_is_read_whole():
    ask = messages(
        system=[text("be brief")],
        stream=True,
        stop_sequences=["x"],
        tools=[
            {"name": "f", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    assert (ask.stream, ask.stops, ask.choice, ask.parallel) == (True, ("x",), "required", False)
    assert [tool.name for tool in ask.tools] == ["f"]
    assert ask.schema == {"type": "object"}
    assert messages(system="be brief").input == messages().input + 6


@pytest.mark.parametrize(
    ("told", "choice"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, "=f"),
        (None, "auto"),
    ],
)
def test_the_choice_of_anthropic_tools_is_read(told, choice):
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    assert messages(tools=tools, tool_choice=told).choice == choice


def test_images_of_blocks_are_described():
    ask = messages(
        blocks(
            text("what?"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
            },
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "document", "source": {}},
        )
    )
    assert (ask.prompt, ask.images) == ("what?", ("image/png of 3 bytes", "by url"))
    assert ask.input == 2 + 3 * 85 + 4


def test_results_may_be_spread_over_consecutive_user_messages():
    ask = messages(
        USER,
        blocks(use("a"), use("b"), role="assistant"),
        blocks(result("a")),
        blocks(result("b", [text("rain"), {"type": "image"}])),
    )
    assert ask.results == ("rain[image]",)


def test_calls_of_two_assistant_messages_in_a_row_are_one_turn():
    ask = messages(
        USER,
        blocks(use("a"), role="assistant"),
        blocks(use("b"), role="assistant"),
        blocks(result("a"), result("b")),
        {"role": "assistant", "content": "done"},
        USER,
    )
    assert ask.results == ()


def test_a_last_assistant_message_is_a_beginning_and_may_hold_open_calls():
    assert messages(USER, {"role": "assistant", "content": "Well,"}).prompt == "hi"
    assert messages(USER, blocks(use(), role="assistant")).results == ()


@pytest.mark.pitfall(97)
def test_thinking_comes_back_with_the_signature_it_was_given():
    thought = {"type": "thinking", "thinking": "hm", "signature": signature("hm")}
    answered = messages(USER, blocks(thought, text("a"), role="assistant"), USER)
    assert answered.input > messages(USER, blocks(text("a"), role="assistant"), USER).input
    with pytest.raises(Refused, match="Invalid `signature`"):
        messages(USER, blocks({**thought, "signature": "other"}, role="assistant"), USER)


@pytest.mark.parametrize(
    ("thinking", "thinks"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "adaptive"}, True),
        ({"type": "enabled", "budget_tokens": 1024}, True),
    ],
)
def test_anthropics_thinking_is_read(thinking, thinks):
    assert messages(thinking=thinking).thinks is thinks


def test_counting_needs_no_bound():
    body = {"model": "m", "messages": [USER]}
    assert read_messages(body, counting=True).input == 5


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": ""}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role: Input should be"),
        ({"messages": [blocks({"type": "text"})]}, "'text' is incomplete"),
        ({"messages": [blocks({"words": "x"})]}, "type: Field required"),
        ({"messages": [blocks(result())]}, "unexpected `tool_use_id`"),
        ({"messages": [USER, blocks(use(), role="assistant"), USER]}, "without `tool_result`"),
        (
            {
                "messages": [
                    USER,
                    blocks(use(), role="assistant"),
                    USER,
                    {"role": "assistant", "content": "x"},
                ]
            },
            "without `tool_result`",
        ),
        ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "at least 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater"),
        ({"tools": [{"input_schema": {"type": "object"}}]}, "name: Field required"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "should be 'object'"),
        ({"tools": [{"name": "f"}]}, "should be an object"),
        ({"tool_choice": {"type": "tool", "name": "g"}}, "not found"),
        ({"tool_choice": "auto"}, "tool_choice: Input should be"),
    ],
)
def test_what_anthropic_refuses_is_refused_in_its_words(body, words):
    with pytest.raises(Refused, match=words):
        read_messages({"model": "m", "max_tokens": 2000, "messages": [USER], **body})
