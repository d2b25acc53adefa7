"""What a request needs is read in every dialect; text that only speaks of pictures is text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.ask import Ask, read_ask
from dragoman.core.errors import CallerError
from dragoman.routing.conversation import conversation_of
from dragoman.routing.needs import TYPICAL_OUTPUT, _media, needs_of, tokens_asked

CHAT = {"messages": [{"role": "user", "content": "Hello"}]}


def needs(family, **members):
    body = json.dumps(members).encode()
    return needs_of(read_ask(body, "m"), family, "chat")


def parts(*said):
    return [{"role": "user", "content": list(said)}]


@pytest.mark.req("R-ROUTE-007")
@pytest.mark.parametrize(
    ("family", "members", "kind"),
    [
        ("chat", {"messages": parts({"type": "image_url", "image_url": {"url": "x"}})}, "images"),
        ("chat", {"messages": parts({"type": "input_audio", "input_audio": {}})}, "audio"),
        ("chat", {"messages": parts({"type": "file", "file": {}})}, "documents"),
        ("anthropic", {"messages": parts({"type": "image", "source": {}})}, "images"),
        ("anthropic", {"messages": parts({"type": "document", "source": {}})}, "documents"),
        (
            "anthropic",
            {"messages": parts({"type": "tool_result", "content": [{"type": "image"}]})},
            "images",
        ),
        ("responses", {"input": parts({"type": "input_image", "image_url": "x"})}, "images"),
        ("responses", {"input": parts({"type": "input_file"})}, "documents"),
        (
            "responses",
            {"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]},
            "images",
        ),
        (
            "gemini",
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png"}}]}]},
            "images",
        ),
        (
            "gemini",
            {"contents": [{"parts": [{"file_data": {"mime_type": "audio/wav"}}]}]},
            "audio",
        ),
        (
            "gemini",
            {"contents": [{"parts": [{"fileData": {"mimeType": "application/pdf"}}]}]},
            "documents",
        ),
        ("ollama", {"messages": [{"role": "user", "content": "x", "images": ["aa"]}]}, "images"),
        ("generate", {"prompt": "x", "images": ["aa"]}, "images"),
        ("chat", {**CHAT, "tools": [{}]}, "tools"),
        ("chat", {**CHAT, "functions": [{}]}, "tools"),
        ("chat", {**CHAT, "response_format": {"type": "json_schema"}}, "structured"),
        ("responses", {"input": "x", "text": {"format": {"type": "json_schema"}}}, "structured"),
        ("anthropic", {**CHAT, "output_format": {"type": "json_schema"}}, "structured"),
        ("gemini", {"generationConfig": {"responseSchema": {"type": "object"}}}, "structured"),
        (
            "gemini",
            {"generation_config": {"response_mime_type": "application/json"}},
            "structured",
        ),
        ("ollama", {**CHAT, "format": "json"}, "structured"),
        ("chat", {**CHAT, "reasoning_effort": "high"}, "reasoning"),
        ("chat", {**CHAT, "reasoning": {"enabled": True}}, "reasoning"),
        ("responses", {"input": "x", "reasoning": {"effort": "low"}}, "reasoning"),
        ("anthropic", {**CHAT, "thinking": {"type": "enabled"}}, "reasoning"),
        ("ollama", {**CHAT, "think": True}, "reasoning"),
        ("gemini", {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}}, "reasoning"),
        ("chat", {**CHAT, "temperature": 0}, "sampling"),
    ],
)
def test_what_is_asked_for_is_a_need(family, members, kind) -> None:
    found = needs(family, **members)
    kinds = ("images", "audio", "documents", "tools", "structured", "reasoning", "sampling")
    assert [name for name in kinds if getattr(found, name)] == [kind]


@pytest.mark.parametrize(
    "members",
    [
        CHAT,
        {"messages": parts({"type": "text", "text": '{"type": "image_url"}'})},
        {"messages": [{"role": "assistant", "tool_calls": [{"input": {"type": "image"}}]}]},
        {"messages": parts({"type": "tool_use", "input": {"content": 1, "type": "image"}})},
        {**CHAT, "tools": [], "reasoning_effort": "none", "thinking": {"type": "disabled"}},
        {**CHAT, "response_format": {"type": "text"}, "tools": None, "think": False},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
        {"messages": "no list", "input": 7, "contents": None, "images": {}},
        {"messages": [7, None, [], {"type": 7}, {"content": {"type": 3}}]},
    ],
)
def test_what_only_looks_like_it_is_none(members) -> None:
    found = needs("chat", **members)
    kinds = ("images", "audio", "documents", "tools", "structured", "reasoning", "sampling")
    assert not any(getattr(found, name) for name in kinds)


def test_length_is_estimated_from_text_and_pictures_are_not_taken_for_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:" + "A" * 400_000}}
    assert needs("chat", messages=parts({"type": "text", "text": "a" * 8000})).input_tokens >= 2000
    assert 1000 <= needs("chat", messages=parts(picture)).input_tokens < 1100


@pytest.mark.parametrize(
    ("family", "members", "bound"),
    [
        ("chat", {"max_tokens": 7}, 7),
        ("chat", {"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ("responses", {"max_output_tokens": 9}, 9),
        ("gemini", {"generationConfig": {"maxOutputTokens": 10}}, 10),
        ("ollama", {"options": {"num_predict": 11}}, 11),
        ("ollama", {"options": {"num_predict": -1}}, None),
        ("chat", {"max_tokens": True}, None),
        ("chat", {"max_tokens": "many"}, None),
    ],
)
def test_the_bound_of_the_output_is_read(family, members, bound) -> None:
    found = needs(family, **members)
    assert found.bounded == (bound is not None)
    assert found.output_tokens == (TYPICAL_OUTPUT if bound is None else bound)


def test_embeddings_need_nothing_but_length() -> None:
    body = b'{"model": "m", "input": ["aaaa", "bbbb"]}'
    found = needs_of(read_ask(body), "chat", "embeddings")
    assert (found.input_tokens, found.output_tokens) == (len(body) // 4, 0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "content", "parts", "messages", "inlineData", "mimeType"]
                ),
                inner,
                max_size=3,
            )
        ),
    ),
    st.sampled_from(["chat", "anthropic", "responses", "gemini", "ollama"]),
)
def test_any_request_has_needs(value, family) -> None:
    members = {"messages": value, "tools": value, "thinking": value, "generationConfig": value}
    assert needs(family, **members).input_tokens >= 0


@given(st.binary(max_size=60))
def test_any_bytes_have_needs_or_are_refused(body) -> None:
    try:
        ask = read_ask(body, "m")
    except CallerError:
        return
    assert isinstance(ask, Ask)
    assert needs_of(ask, "chat", "chat").output_tokens == TYPICAL_OUTPUT


@pytest.mark.parametrize("opening", [b"[", b'{"content":'])
def test_what_is_nested_too_deeply_needs_nothing_and_breaks_nothing(opening) -> None:
    deep = opening * 50_000
    members = {name: Raw(deep) for name in ("messages", "tools", "thinking", "temperature")}
    found = needs_of(Ask(deep, members, "m", stream=False), "chat", "chat")
    assert not found.tools
    assert len(conversation_of(members)) == 32


part = st.sampled_from(
    [
        {"type": "text", "text": "an image of a file"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
        {"type": "input_file", "file_id": "f"},
        {"type": "document", "source": {}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        {"file_data": {"mime_type": "application/pdf"}},
        {"images": ["AAAA", "BBBB"]},
    ]
)
asked = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(st.fixed_dictionaries({"content": st.lists(part, max_size=3)})),
        "contents": st.lists(st.fixed_dictionaries({"parts": st.lists(part, max_size=3)})),
        "input": st.lists(part, max_size=3),
        "images": st.lists(st.just("AAAA"), max_size=2),
        "max_tokens": st.sampled_from([7, 0, -1, None, "x", 1.5, True]),
        "max_completion_tokens": st.sampled_from([9, None]),
        "options": st.sampled_from([{"num_predict": 5}, {}, 3]),
        "generationConfig": st.sampled_from([{"maxOutputTokens": 6}, []]),
        "text": st.sampled_from(["é", "日本", "\x01"]),
    },
)


@given(asked, st.sampled_from(["chat", "gemini", "ollama", "responses"]), st.booleans())
def test_the_tokens_that_are_asked_for_are_those_of_the_needs(members, family, escaped):
    body = json.dumps(members, ensure_ascii=escaped).encode()
    if escaped:
        body = body.replace(b'"type": "im', b'"type": "\\u0069m')
    ask = read_ask(body, "m")
    needs = needs_of(ask, family, "chat")
    assert tokens_asked(ask, family, "chat") == needs.input_tokens + needs.output_tokens
    if escaped:
        return
    found = [
        item
        for name in ("messages", "contents", "input")
        for item in _media(ask.members.get(name, Raw(b"[]")))
    ]
    found += [("images", 6)] * len(members.get("images", ()))
    assert needs.text_bytes == len(body) - sum(size for _, size in found)
