"""Whatever another family says: Ollama's writers say it, tell what is lost, or refuse it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.fold import unfold
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
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target
from dragoman.dialects.registry import DIALECTS
from sampling import examples

TARGET = Target("p", "m")
CONTEXT = Context("c" * 32, 1, "m", include_usage=True)
FAMILIES = pytest.mark.parametrize("family", ["ollama", "generate", "completions"])

words = st.text(max_size=6)  # halves of characters too, for events may hold them
names = st.sampled_from(["f", "g", "a tool", ""])
ids = st.sampled_from(["c1", "c2", ""])
marks = st.none() | st.just(CacheMark("5m"))
exts = st.none() | st.just({"chat": {"x": Raw(b"[1, 2]")}, "ollama": {"keep_alive": Raw(b"1")}})
sources = st.one_of(
    st.just(Inline("iVBORw0KGgo=", "image/png")),
    st.just(Inline("d29yZHM=", "text/plain")),
    st.just(Inline("JVBERi0=", "application/pdf")),
    st.just(Url("https://example.com/a")),
    st.just(FileRef("f", "chat")),
    st.builds(TextDoc, words),
    st.builds(lambda text: PartsDoc((Text(text),)), words),
)
media = st.builds(
    Media,
    st.sampled_from(["image", "audio", "video", "document"]),
    sources,
    transcript=st.none() | words,
    cache=marks,
)
citations = st.just((Citation("url", url="u"),)) | st.just(())
thoughts = st.builds(
    Thinking,
    words,
    st.none() | words,
    st.none() | words,
    redacted=st.booleans(),
    family=st.sampled_from([None, "chat", "ollama", "anthropic", "gemini"]),
)
calls = st.builds(
    ToolCall,
    ids,
    names,
    words | st.sampled_from(['{"a": 1}', "[1]", '{"a":', "{}"]),
    st.sampled_from(["function", "custom"]),
    signature=st.none() | words,
)
said = st.one_of(
    st.builds(Text, words, citations, marks, exts),
    st.builds(Refusal, words),
    media,
    thoughts,
    st.just(SearchResult("s", "t", (Text("x"),))),
    st.just(Opaque("anthropic", "tool_addition", Raw(b"{}"))),
    st.just(Opaque("gemini", "code", Raw(b"{}"))),
)
results = st.builds(
    ToolResult,
    ids,
    st.lists(said, max_size=2).map(tuple),
    is_error=st.booleans(),
    name=st.none() | names,
)
messages = st.one_of(
    st.builds(Message, st.just("user"), st.lists(said | results, max_size=3).map(tuple), ext=exts),
    st.builds(Message, st.just("assistant"), st.lists(said | calls, max_size=3).map(tuple)),
    st.builds(Message, st.just("system"), st.lists(said, max_size=2).map(tuple)),
)
schemas = st.sampled_from(
    [None, Raw(b"{}"), Raw(b'{"anyOf":[]}'), Raw(b"[1]"), Raw(b'{"type":1}')]
)
tools = st.one_of(
    st.builds(FunctionTool, names, st.none() | words, schemas, st.none() | st.booleans()),
    st.builds(CustomTool, names, format=st.sampled_from([None, Raw(b'{"type":"grammar"}')])),
    st.just(HostedTool("anthropic", "web_search", Raw(b"{}"))),
)
choices = st.none() | st.builds(
    ToolChoice,
    st.sampled_from(["auto", "none", "required", "named", "allowed"]),
    st.just(("f",)),
    required=st.booleans(),
)
requests = st.builds(
    Request,
    model=st.just("m"),
    messages=st.lists(messages, max_size=4).map(tuple),
    stream=st.booleans(),
    system=st.lists(said, max_size=2).map(tuple),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=choices,
    sampling=st.builds(Sampling, n=st.none() | st.integers(0, 2), stop=st.just(("x",))),
    output=st.builds(Output, st.sampled_from(["text", "json", "json_schema"]), schemas),
    reasoning=st.builds(
        Reasoning,
        st.sampled_from([None, "enabled", "adaptive", "disabled"]),
        st.sampled_from([None, "none", "minimal", "xhigh"]),
        st.none() | st.integers(0, 9),
    ),
    max_tokens=st.none() | st.integers(0, 9),
    ext=exts,
)


@FAMILIES
@settings(max_examples=examples(60))
@given(requests)
def test_any_request_is_written_or_refused(family, request):
    dialect = DIALECTS[family]
    try:
        out = dialect.write_request(request, TARGET)
    except CallerError:
        return
    body = json.loads(out.body)
    assert body["model"] == "m"
    assert body.get("stream", False) is request.stream
    assert dialect.write_request(request, TARGET) == out


answers = st.builds(
    lambda parts, reason, more: Response(
        "",
        "m",
        (Choice(tuple(parts), Finish(reason)), *more),
        Usage(input=1, output=2),
    ),
    st.lists(said | calls | results, max_size=4),
    st.sampled_from(["stop", "length", "tool_calls", "refusal", "pause", "unknown", "error"]),
    st.just(()) | st.just((Choice((Text("other"),), Finish("stop"), 1),)),
)


@FAMILIES
@settings(max_examples=examples(60))
@given(answers)
def test_any_answer_is_told_whole_and_streamed_alike(family, response):
    dialect = DIALECTS[family]
    writer = dialect.stream_writer(CONTEXT)
    data = b"".join(writer.send(event) for event in unfold(response))
    assert data.endswith(b"\n")
    for line in data.decode().strip().split("\n"):
        if line and line != "data: [DONE]":
            json.loads(line.removeprefix("data: "))
    try:
        written = dialect.write_response(response, CONTEXT)
    except UpstreamError:
        assert b'"error"' in data
        assert b'"done":true' not in data
        return
    json.loads(written.body)
    assert {loss.path for loss in written.losses} == {loss.path for loss in writer.losses}
