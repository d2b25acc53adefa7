"""No loss unsaid between any two dialects: what both can say arrives, the rest is told or refused.

A request is said in the caller's dialect, written for the provider, read as the provider reads it,
and written home again; an answer goes the other way, whole and as a stream. Whatever differs then
must stand among the losses, and the plain middle of all dialects must not differ at all.
"""

from __future__ import annotations

import functools
import itertools
import json
from base64 import b64encode
from typing import Any, ClassVar

import pytest
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.events import Event, Failure, PartDelta, PartStart
from dragoman.core.fold import fold, unfold
from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Inline,
    Media,
    Message,
    Part,
    Refusal,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.parts import raw as as_raw
from dragoman.core.provider import Family
from dragoman.core.request import FunctionTool, Output, Reasoning, Request, Sampling, ToolChoice
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Outgoing, Target, Undo
from dragoman.dialects.registry import DIALECTS, open_relay
from dragoman.dialects.translate import Translation

CALLERS: tuple[Family, ...] = tuple(DIALECTS)
PROVIDERS: tuple[Family, ...] = ("chat", "responses", "anthropic", "gemini", "ollama")
PAIRS = list(itertools.product(CALLERS, PROVIDERS))
PLAIN: tuple[Family, ...] = ("generate", "completions")
"""Dialects of a mere prompt: they say no conversation and no tools."""
TARGET = Target("p", "m", capability=Capability(thinking="both"))
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = Inline("iVBORw0KGgo=", "image/png")
CALL = ToolCall("call_1", "weather", '{"city":"Oslo","days":[1,2.5]}')
CALL_2 = ToolCall("call_2", "weather", '{"city":"Rome"}')
TOOL = FunctionTool("weather", "Tells the weather.", as_raw(SCHEMA))
ASK = Message("user", (Text("How is it?"),))


def _request(*messages: Message, **more: Any) -> Request:
    return Request(model="m", messages=messages or (ASK,), **{"max_tokens": 2048, **more})


REQUESTS = {
    "text": _request(
        ASK,
        Message("assistant", (Text("Fine."),)),
        Message("user", (Text("And there?\n\n ü\u2028"),)),
        system=(Text("Be short."),),
    ),
    "sampling": _request(sampling=Sampling(temperature=0.5, top_p=0.25, stop=("END",))),
    "white stop": _request(sampling=Sampling(stop=("\n", "END"))),
    "rare sampling": _request(
        sampling=Sampling(
            top_k=7,
            min_p=0.125,
            seed=11,
            frequency_penalty=0.5,
            presence_penalty=0.25,
            repetition_penalty=1.5,
            logit_bias={"5": 1.0},
            n=2,
            logprobs=True,
            top_logprobs=2,
        )
    ),
    "tools": _request(tools=(TOOL,), tool_choice=ToolChoice("auto")),
    "no tool": _request(tools=(TOOL,), tool_choice=ToolChoice("none")),
    "a tool": _request(tools=(TOOL,), tool_choice=ToolChoice("required")),
    "this tool": _request(
        tools=(TOOL,), tool_choice=ToolChoice("named", ("weather",)), parallel_tools=False
    ),
    "calls": _request(
        ASK,
        Message("assistant", (Text("I look."), CALL, CALL_2)),
        Message(
            "user",
            (
                ToolResult("call_1", (Text("3 °C"),), name="weather"),
                ToolResult("call_2", (Text("it broke"),), is_error=True, name="weather"),
            ),
        ),
        tools=(TOOL,),
    ),
    "image": _request(Message("user", (Text("What is it?"), Media("image", PNG)))),
    "image in a result": _request(
        ASK,
        Message("assistant", (CALL,)),
        Message(
            "user", (ToolResult("call_1", (Text("see"), Media("image", PNG)), name="weather"),)
        ),
        tools=(TOOL,),
    ),
    "document": _request(
        Message(
            "user",
            (
                Text("Read."),
                Media("document", Inline("JVBERi0=", "application/pdf"), filename="a.pdf"),
            ),
        )
    ),
    "text file": _request(
        Message(
            "user",
            (Text("Read."), Media("document", Inline("aGVsbG8=", "text/plain"), filename="a.txt")),
        )
    ),
    "thinking": _request(
        ASK,
        Message("assistant", (Thinking("Hm.", signature="c2ln"), Text("Fine."))),
        Message("user", (Text("Sure?"),)),
        reasoning=Reasoning(effort="low"),
    ),
    "schema": _request(
        output=Output("json_schema", schema=as_raw(SCHEMA), schema_name="place", strict=True)
    ),
    "any json": _request(output=Output("json")),
    "papers": _request(
        metadata={"a": "b"},
        end_user="u",
        safety_id="s",
        service_tier="flex",
        cache_key="k",
        store=True,
    ),
}
MIDDLE = {"text", "sampling", "tools", "image", "calls"}
"""What every dialect of conversations can say: it must arrive."""

# --------------------------------------------------------------------------- what is said


def _parts(parts: tuple[Part, ...]) -> list[Any]:
    """What parts say, however they are cut: no ids, no marks, neighbouring texts as one."""
    said: list[Any] = []
    for part in parts:
        match part:
            case Text() if said and isinstance(said[-1], str):
                said[-1] += "\n" + part.text
            case Text() if part.text:
                said.append(part.text)
            case ToolCall():
                said.append(("call", part.name, json.loads(part.arguments or "{}")))
            case ToolResult():
                said.append(("result", _parts(part.parts)))
            case Media(source=TextDoc() as source):
                said.append(("document", "text/plain", b64encode(source.text.encode()).decode()))
            case Media(source=Inline() as source):
                said.append((part.kind, source.mime, source.data))
            case _:
                pass
    return said


def _untitled(schema: Raw | None) -> Any:
    """The schema but for its title, under which a name may travel."""
    said = json.loads(bytes(schema)) if schema is not None else {}
    return {name: value for name, value in said.items() if name != "title"}


def _facets(request: Request) -> dict[str, Any]:
    """Subject → what the request says of it, where it says anything."""
    turns = [
        (role, said)
        for role, group in itertools.groupby(request.messages, lambda message: message.role)
        if (said := _parts(tuple(part for message in group for part in message.parts)))
    ]
    choice = request.tool_choice
    every = [part for message in request.messages for part in message.parts]
    found: dict[str, Any] = {
        "system": _parts(request.system),
        "messages": turns,
        "thinking": [part.text for part in every if isinstance(part, Thinking)],
        "is_error": [part.is_error for part in every if isinstance(part, ToolResult)],
        "tools": [
            (tool.name, tool.description, json.loads(bytes(tool.schema or b"null")))
            for tool in request.tools
            if isinstance(tool, FunctionTool)
        ],
        "tool_choice": choice and choice.mode != "auto" and (choice.mode, choice.names),
        "parallel": request.parallel_tools,
        "format": request.output.format if request.output.format != "text" else None,
        "schema": _untitled(request.output.schema),
        "effort": request.reasoning.effort or request.reasoning.budget,
        "max_tokens": request.max_tokens,
        "metadata": request.metadata,
        "user": request.end_user,
        "safety": request.safety_id,
        "tier": request.service_tier,
        "cache_key": request.cache_key,
        "store": request.store,
    }
    sampling = request.sampling
    found |= {name: getattr(sampling, name) for name in sampling.__struct_fields__}
    return {name: value for name, value in found.items() if value not in (None, False, [], (), {})}


WORDS = {
    "messages": ("messages", "input", "contents"),
    "system": ("system", "messages", "instructions"),
    "thinking": ("thinking", "reasoning", "messages"),
    "is_error": ("is_error", "messages"),
    "tools": ("tools", "tool_choice"),
    "parallel": ("parallel",),
    "format": ("format", "output", "schema"),
    "schema": ("format", "output", "schema"),
    "effort": ("reasoning", "thinking", "effort"),
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_output_tokens"),
    "user": ("user",),
    "safety": ("safety",),
    "tier": ("tier",),
    "logprobs": ("logprobs",),
    "stop": ("stop",),
}
"""Subject → words of which a loss's path has one; a subject that is not here names itself."""


def _told(subject: str, losses: tuple[Loss, ...]) -> bool:
    return any(word in loss.path for loss in losses for word in WORDS.get(subject, (subject,)))


def _unsaid(before: dict[str, Any], after: dict[str, Any], losses: tuple[Loss, ...]) -> list[Any]:
    return [
        (name, said, after.get(name), [loss.path for loss in losses])
        for name, said in before.items()
        if after.get(name) != said and not _told(name, losses)
    ]


@functools.cache
def _asked(name: str, caller: Family) -> Request | None:
    """The request as far as the caller's dialect says it; None where it refuses to."""
    try:
        body = DIALECTS[caller].write_request(REQUESTS[name], TARGET).body
    except CallerError:
        return None
    return DIALECTS[caller].read_request(body)


def _sent(asked: Request, provider: Family) -> Outgoing | None:
    """The provider's request; None where it is refused."""
    try:
        return DIALECTS[provider].write_request(asked, TARGET)
    except CallerError:
        return None


@pytest.mark.req("R-XLATE-001")
@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_what_a_request_says_arrives_or_is_told(caller, provider):
    ours, theirs = DIALECTS[caller], DIALECTS[provider]
    wrong: dict[str, Any] = {}
    for name in REQUESTS:
        asked = _asked(name, caller)
        if asked is None:
            assert caller in PLAIN or name not in MIDDLE, name
            continue
        sent = _sent(asked, provider)
        if sent is None:
            assert name not in MIDDLE, name
            continue
        said = _facets(asked)
        heard = theirs.read_request(sent.body)
        if unsaid := _unsaid(said, _facets(heard), sent.losses):
            wrong[name] = unsaid
            continue
        if name in MIDDLE and caller not in PLAIN:
            lost = [loss for loss in sent.losses if loss.action != "emulated"]
            wrong |= {name: lost} if lost else {}
        # Home again: what survived the way out survives the way back, or is told there.
        home = ours.write_request(heard, TARGET)
        back = _facets(ours.read_request(home.body))
        if unsaid := _unsaid(said, back, sent.losses + home.losses):
            wrong[f"{name}, home"] = unsaid
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())


# --------------------------------------------------------------------------- answers

USAGE = Usage(input=30, output=12)


def _answer(*parts: Part, reason: Any = "stop") -> Response:
    choice = Choice(parts, Finish(reason))
    return Response(id="r1", model="m", choices=(choice,), usage=USAGE, created=1)


ANSWERS = {
    "text": _answer(Text("Fine.\n\n ü\u2028")),
    "cut": _answer(Text("Fi"), reason="length"),
    "calls": _answer(Text("I look."), CALL, CALL_2, reason="tool_calls"),
    "thinking": _answer(Thinking("Hm.", signature="c2ln"), Text("Fine.")),
    "filtered": _answer(Text("F"), reason="content_filter"),
}


SAME = {"refusal": "content_filter"}
"""Anthropic's word for what the others call a filter (`dialects.md` §3.2)."""


def _answered(response: Response) -> dict[str, Any]:
    choice = response.choices[0]
    usage = response.usage
    return {
        "content": _parts(choice.parts),
        "thinking": "".join(part.text for part in choice.parts if isinstance(part, Thinking)),
        "finish": SAME.get(choice.finish.reason, choice.finish.reason),
        "usage": usage and (usage.input, usage.output),
    }


def _context(caller: Family, name: str) -> Context:
    asked = REQUESTS["tools" if name == "calls" else "text"]
    return Context("c" * 32, 1, "m", request=asked, include_usage=True)


WAYS = {"finish": "done_reason"}


def _differs(caller: Family, said: dict[str, Any], home: dict[str, Any], losses: Any) -> Any:
    """What came home otherwise than it was said, and is not told."""
    return {
        subject: (value, home[subject])
        for subject, value in said.items()
        if home[subject] != value
        and not any(WAYS.get(subject, subject) in loss.path for loss in losses)
        if not (caller in PLAIN and losses)
    }


@pytest.mark.req("R-XLATE-001")
@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_what_an_answer_says_comes_home_or_is_told_whole_and_as_a_stream(caller, provider):
    ours, theirs = DIALECTS[caller], DIALECTS[provider]
    wrong: dict[str, Any] = {}
    for name, answer in ANSWERS.items():
        context = _context(caller, name)
        made = theirs.write_response(answer, context).body
        found = theirs.read_response(made, TARGET, Undo())
        said = _answered(found)
        told = ours.write_response(found, context)
        home = _answered(ours.read_response(told.body, TARGET, Undo()))
        if differs := _differs(caller, said, home, told.losses):
            wrong[f"{name}, whole"] = (differs, told.losses)
        writer = theirs.stream_writer(context)
        frames = b"".join(writer.send(event) for event in unfold(answer))
        relay = open_relay(ours, theirs, TARGET, context, Undo())
        heard = relay.feed(frames) + relay.close()
        assert relay.facts.error is None, (name, relay.facts.error)
        reader = ours.stream_reader(TARGET, Undo())
        streamed = _answered(fold(reader.feed(heard) + reader.close()))
        if differs := _differs(caller, said, streamed, relay.facts.losses):
            wrong[f"{name}, streamed"] = (differs, relay.facts.losses)
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())


def _cut(caller: Family, provider: Family, name: str, frames: bytes, at: int) -> str | None:
    """What is wrong with the caller's stream where the provider's bytes end early; None if nothing."""
    ours, context = DIALECTS[caller], _context(caller, name)
    relay = open_relay(ours, DIALECTS[provider], TARGET, context, Undo())
    heard = relay.feed(frames[:at])
    if relay.facts.error is None:
        heard += relay.close()
    if relay.facts.error is not None:
        heard += relay.fail(relay.facts.error)
    reader = ours.stream_reader(TARGET, Undo())
    events = reader.feed(heard) + reader.close()
    told = isinstance(events[-1], Failure)
    if relay.facts.error is not None:
        calls = [event for event in events if _is_half(event)]
        return None if told and not calls else f"{calls or 'no failure'} in {heard!r}"
    if told:
        return f"a failure that nobody saw in {heard!r}"
    streamed, whole = _answered(fold(events)), _answered(_whole(caller, provider, name, frames))
    same = all(streamed[subject] == whole[subject] for subject in ("content", "finish"))
    return None if same else f"{streamed} is taken for {whole}"


def _is_half(event: Event) -> bool:
    """A call that is told in one piece has to be one."""
    if not isinstance(event, PartStart) or not isinstance(event.head, ToolCall):
        return False
    return event.head.arguments not in {"", "{}", *(each.arguments for each in (CALL, CALL_2))}


@functools.cache
def _whole(caller: Family, provider: Family, name: str, frames: bytes) -> Response:
    ours = DIALECTS[caller]
    relay = open_relay(ours, DIALECTS[provider], TARGET, _context(caller, name), Undo())
    reader = ours.stream_reader(TARGET, Undo())
    return fold(reader.feed(relay.feed(frames) + relay.close()) + reader.close())


@pytest.mark.req("R-STRM-003")
@pytest.mark.parametrize(("caller", "provider"), [*PAIRS, *((each, each) for each in PLAIN)])
def test_an_answer_that_ends_early_is_never_taken_for_a_whole_one(caller, provider):
    for name, answer in ANSWERS.items():
        if provider in PLAIN and name in {"calls", "thinking"}:
            continue
        writer = DIALECTS[provider].stream_writer(_context(provider, name))
        frames = b"".join(writer.send(event) for event in unfold(answer))
        for at in range(0, len(frames), max(1, len(frames) // 23)):
            wrong = _cut(caller, provider, name, frames, at)
            assert wrong is None, f"{name}, cut at {at} of {len(frames)}: {wrong}"


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (Text(""), False),
        (Refusal(""), False),
        (Thinking(), False),
        (Thinking(encrypted="e", redacted=True), True),
        (ToolCall("call_1", "weather"), True),
    ],
)
def test_a_part_that_opens_empty_is_no_content_yet(head, content):
    """Another provider may still answer: nobody has read a word (D3)."""

    class Opening:
        """A reader whose every piece opens a part, and then says something in it."""

        events: ClassVar[list[Event]] = [PartStart(0, head), PartDelta(0, "a")]

        def feed(self, data: bytes) -> list[Event]:
            del data
            return [self.events.pop(0)]

        def close(self) -> list[Event]:
            return []

    relay = Translation(Opening(), DIALECTS["chat"].stream_writer(Context("c" * 32, 1, "m")))
    relay.feed(b"")
    assert relay.facts.content is content
    relay.feed(b"")
    assert relay.facts.content
