"""Laws of the request side: whatever comes in, and whatever chat can say, comes back the same."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    Inline,
    Media,
    Message,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    raw,
)
from dragoman.core.provider import Quirks
from dragoman.core.request import (
    CustomTool,
    FunctionTool,
    Output,
    Reasoning,
    Request,
    Sampling,
    ToolChoice,
)
from dragoman.dialects.base import Target
from dragoman.dialects.chat.read import read_request
from dragoman.dialects.chat.write import write_request
from recorded import exchanges
from sampling import examples

OPENAI = Target("openai", "m", Quirks(flavour="openai"))

LAW = settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))

# ------------------------------------------------------------------ what chat can say

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
floats = st.floats(0, 2, allow_nan=False)
maybe = st.none
marks = st.none() | st.builds(CacheMark, ttl=st.sampled_from([None, "30m", "12h"]))
values = st.dictionaries(words, st.integers(-5, 5) | words, max_size=3)
schemas = values.map(lambda extra: raw({**extra, "type": "object"}))
blobs = st.binary(min_size=1, max_size=9).map(lambda b: base64.b64encode(b"\0" + b).decode())
bags = st.none() | words.map(lambda word: {"chat": {"x_extra": raw(word)}})

marked_texts = st.builds(Text, text=words, cache=marks, ext=bags)
texts = st.builds(Text, text=words)
images = st.builds(
    Media,
    kind=st.just("image"),
    source=st.builds(Inline, blobs, st.just("image/png")) | st.just(Url("https://x/y.png")),
    detail=st.none() | st.sampled_from(["low", "high", "auto", "original"]),
    cache=marks,
)
documents = st.builds(
    Media,
    kind=st.just("document"),
    source=st.builds(Inline, blobs, st.just("application/pdf")),
    filename=words,
    cache=marks,
)
sounds = st.builds(
    Media,
    kind=st.just("audio"),
    source=st.builds(Inline, blobs, st.sampled_from(["audio/wav", "audio/mpeg"])),
)
user_turns = st.builds(
    Message,
    role=st.just("user"),
    parts=st.lists(marked_texts | images | documents | sounds, max_size=3).map(tuple),
    name=st.none() | words,
    ext=bags,
)
system_turns = st.builds(
    Message,
    role=st.just("system"),
    parts=st.lists(marked_texts, min_size=1, max_size=2).map(tuple),
    role_name=st.sampled_from(["system", "developer"]),
)


@st.composite
def assistant_turns(draw, number):
    """An assistant's turn, and the turn of results that its calls ask for."""
    parts = draw(st.lists(texts, max_size=2))
    parts += draw(st.lists(st.builds(Refusal, words), max_size=1))
    calls = [
        ToolCall(
            f"{draw(names)}{number}.{i}", draw(names), draw(words.filter(str.strip)), draw(kinds)
        )
        for i in range(draw(st.integers(0, 3)))
    ]
    turns = [Message("assistant", (*parts, *calls), draw(st.none() | words), ext=draw(bags))]
    if calls:
        results = tuple(
            ToolResult(made.id, tuple(draw(st.lists(texts, max_size=2))), name=made.name)
            for made in calls
        )
        turns.append(Message("user", results))
    return turns


kinds = st.sampled_from(["function", "custom"])


@st.composite
def conversations(draw):
    turns = [draw(user_turns)]
    for number in range(draw(st.integers(0, 3))):
        match draw(st.sampled_from(["user", "system", "assistant"])):
            case "user":
                turns.append(draw(user_turns))
            case "system":
                turns.append(draw(system_turns))
            case _:
                turns += draw(assistant_turns(number))
    if turns[-1].role == "assistant":
        turns.append(draw(user_turns))  # a prefill is a loss at OpenAI
    return tuple(turns)


functions = st.builds(
    FunctionTool,
    name=names,
    description=st.none() | words,
    schema=st.none() | schemas,
    strict=st.none() | st.booleans(),
    ext=bags,
)
customs = st.builds(
    CustomTool, name=names, description=st.none() | words, format=st.none() | schemas
)


@st.composite
def requests(draw):
    tools = tuple(
        draw(st.lists(functions | customs, max_size=3, unique_by=lambda tool: tool.name))
    )
    choice, parallel = None, None
    if tools:
        parallel = draw(st.none() | st.booleans())
        picked = draw(st.sampled_from(tools))
        kind = "custom" if isinstance(picked, CustomTool) else "function"
        choice = draw(
            st.sampled_from(
                [
                    None,
                    ToolChoice("auto"),
                    ToolChoice("none"),
                    ToolChoice("required"),
                    ToolChoice("named", (picked.name,), kind),
                    ToolChoice("allowed", (picked.name,), required=True),
                ]
            )
        )
    stream = draw(st.booleans())
    return Request(
        model="m",
        messages=draw(conversations()),
        stream=stream,
        include_usage=stream,  # usage is always asked for in a stream
        system=tuple(draw(st.lists(marked_texts, max_size=2))),
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        sampling=draw(samplings),
        output=draw(outputs),
        reasoning=Reasoning(effort=draw(efforts)),
        max_tokens=draw(st.none() | st.integers(1, 10**6)),
        cache_key=draw(st.none() | words),
        cache_retention=draw(st.sampled_from([None, "in_memory", "24h"])),
        service_tier=draw(st.sampled_from([None, "auto", "default", "flex", "priority"])),
        metadata=draw(st.none() | st.dictionaries(words, words, max_size=2)),
        end_user=draw(st.none() | words),
        safety_id=draw(st.none() | words),
        store=draw(st.none() | st.booleans()),
        prediction=draw(st.none() | schemas),
        ext=draw(bags),
    )


efforts = st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh", "max"])
samplings = st.builds(
    Sampling,
    temperature=maybe() | floats,
    top_p=maybe() | floats,
    seed=maybe() | st.integers(-(2**62), 2**62),
    frequency_penalty=maybe() | floats,
    presence_penalty=maybe() | floats,
    logit_bias=maybe() | st.dictionaries(st.from_regex(r"[0-9]{1,5}", fullmatch=True), floats),
    stop=st.lists(words, max_size=4).map(tuple),
    n=maybe() | st.integers(1, 5),
    logprobs=maybe() | st.booleans(),
    top_logprobs=maybe() | st.integers(0, 20),
)
shared = {
    "verbosity": st.sampled_from([None, "low", "high"]),
    "modalities": st.sampled_from([(), ("text",), ("text", "audio")]),
    "audio": st.none() | schemas,
}
outputs = st.builds(Output, format=st.sampled_from(["text", "json"]), **shared) | st.builds(
    Output,
    format=st.just("json_schema"),
    schema=st.none() | schemas,
    schema_name=words,
    schema_description=st.none() | words,
    strict=st.none() | st.booleans(),
    **shared,
)


@LAW
@given(requests())
def test_what_chat_can_say_is_read_back_as_it_was(request):
    out = write_request(request, OPENAI)
    assert out.losses == ()
    assert out.undo.tool_names == {}
    assert read_request(out.body) == request


@LAW
@given(requests(), st.sampled_from(["plain", "groq", "openrouter", "mistral", "deepseek"]))
def test_every_flavour_writes_it_or_says_why_not_and_the_same_each_time(request, flavour):
    target = Target("p", "m", Quirks(flavour=flavour))
    try:
        out = write_request(request, target)
    except CallerError as error:
        refusal = error
    else:
        refusal = None
    if refusal is not None:
        assert refusal.status == 400
        assert refusal.param
        return
    assert out == write_request(request, target)
    again = read_request(out.body)
    assert len(again.tools) <= len(request.tools)


# ------------------------------------------------------------------ whatever comes in


def reads_or_refuses(body: bytes) -> None:
    try:
        found = read_request(body)
    except CallerError as error:
        found = error
    if isinstance(found, CallerError):
        assert found.status == 400
        assert found.message
    else:
        assert isinstance(found, Request)


@LAW
@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_a_refusal(body):
    reads_or_refuses(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
VOCABULARY = [
    "role",
    "content",
    "type",
    "text",
    "tool_calls",
    "tool_call_id",
    "function",
    "custom",
    "name",
    "arguments",
    "id",
    "image_url",
    "url",
    "file",
    "file_data",
    "file_id",
    "input_audio",
    "data",
    "format",
    "document_url",
    "video_url",
    "thinking",
    "signature",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "summary",
    "index",
    "refusal",
    "audio",
    "function_call",
    "cache_control",
    "prompt_cache_breakpoint",
    "ttl",
    "json_schema",
    "schema",
    "strict",
    "parameters",
    "allowed_tools",
    "tools",
    "mode",
    "effort",
    "max_tokens",
    "enabled",
    "include_usage",
    "extra_content",
    "google",
]
SAYINGS = [
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "function",
    "text",
    "image_url",
    "file",
    "input_audio",
    "thinking",
    "custom",
    "auto",
    "required",
    "json_schema",
    "allowed_tools",
    "reasoning.text",
    "reasoning.encrypted",
    "data:image/png;base64,AAAA",
    "data:x,",
    "AAAA",
]
shaped = st.recursive(
    st.sampled_from(SAYINGS) | json_values,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(VOCABULARY), inner, max_size=6)
    ),
    max_leaves=30,
)
TOP = [
    "tools",
    "tool_choice",
    "functions",
    "response_format",
    "stream",
    "stream_options",
    "stop",
    "reasoning",
    "thinking",
    "reasoning_effort",
    "metadata",
    "logit_bias",
    "modalities",
    "audio",
    "max_tokens",
    "temperature",
    "n",
    "cache_control",
    "web_search_options",
    "plugins",
]


@LAW
@given(
    st.lists(
        st.dictionaries(st.sampled_from(VOCABULARY), shaped, max_size=5).flatmap(
            lambda m: st.sampled_from(SAYINGS[:6]).map(lambda role: {**m, "role": role})
        )
        | shaped,
        max_size=4,
    ),
    st.dictionaries(st.sampled_from(TOP), shaped, max_size=4),
)
def test_anything_that_looks_like_a_request_gives_one_or_a_refusal(messages, members):
    body = {"model": "m", "messages": [*messages, {"role": "user", "content": "x"}], **members}
    reads_or_refuses(json.dumps(body).encode("utf-8", "surrogatepass"))


# ------------------------------------------------------------------ recorded traffic


@pytest.mark.req("R-ADD-013")
def test_recorded_requests_that_cost_nothing_to_write_are_read_back_as_they_were():
    compared = 0
    for record in exchanges("openai_chat"):
        if record["provider"] != "openai" or record["status"] != 200:
            continue
        if not isinstance(record["request_json"], dict):
            continue
        request = read_request(json.dumps(record["request_json"]).encode())
        out = write_request(request, replace(OPENAI, model=request.model))
        if out.losses:
            continue
        again = read_request(out.body)
        told = replace(request, include_usage=again.include_usage, legacy_functions=False)
        assert again == told, record["id"]
        compared += 1
    assert compared > 500
