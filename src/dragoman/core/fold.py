"""Events → response and back: one response is a list of parts, a stream is what builds it.

``fold(unfold(response)) == response`` and, for every dialect, ``fold`` of a stream equals the
whole reply of the same content: laws of the tests (D5), and the way of a provider that
answers whole although a stream was asked for.
"""

from __future__ import annotations

from typing import TypeVar, assert_never

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.events import (
    Cited,
    End,
    Event,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage, merge

T = TypeVar("T")


class _Open:
    """A part under way: its head, and what its deltas have added."""

    __slots__ = ("citations", "fields", "head")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.fields: dict[str, list[str]] = {}
        self.citations: list[Citation] = []

    def whole(self) -> Part:
        """The part with everything that came for it."""
        head = self.head
        grown = {name: "".join(pieces) for name, pieces in self.fields.items()}
        match head:
            case Text():
                citations = (*head.citations, *self.citations)
                return replace(head, text=head.text + grown.get("text", ""), citations=citations)
            case Refusal():
                return replace(head, text=head.text + grown.get("text", ""))
            case Thinking():
                return replace(
                    head,
                    text=head.text + grown.get("text", ""),
                    signature=_joined(head.signature, grown.get("signature")),
                    encrypted=_joined(head.encrypted, grown.get("encrypted")),
                )
            case ToolCall():
                return replace(
                    head,
                    arguments=head.arguments + grown.get("arguments", ""),
                    signature=_joined(head.signature, grown.get("signature")),
                )
            case Media() | SearchResult() | ToolResult() | Opaque():
                return head
            case _:
                assert_never(head)


def _joined(known: str | None, more: str | None) -> str | None:
    return more if known is None else known + (more or "")


def fold(events: list[Event]) -> Response:
    """The response that a stream builds.

    Raises:
        GatewayError: the stream ended in a ``Failure``; it is raised as it came.
    """
    start = Start()
    usage: Usage | None = None
    parts: dict[tuple[int, int], _Open] = {}
    finishes: dict[int, Finished] = {}
    logprobs: dict[int, list[bytes]] = {}
    for event in events:
        match event:
            case Start():
                start = event
                usage = merge(usage, event.usage) if event.usage else usage
            case PartStart():
                parts[event.choice, event.part] = _Open(event.head)
            case PartDelta():
                parts[event.choice, event.part].fields.setdefault(event.field, []).append(
                    event.text
                )
            case Cited():
                parts[event.choice, event.part].citations.append(event.citation)
            case LogprobNote():
                logprobs.setdefault(event.choice, []).append(event.logprobs)
            case UsageNote():
                usage = merge(usage, event.usage)
            case Finished():
                finishes[event.choice] = event
            case Failure():
                raise event.error
            case PartStop() | Ping() | End():
                pass
            case _:
                assert_never(event)
    indices = sorted({choice for choice, _ in parts} | set(finishes)) or [0]
    return Response(
        id=start.id,
        model=start.model,
        created=start.created,
        service_tier=start.service_tier,
        system_fingerprint=start.system_fingerprint,
        usage=usage,
        choices=tuple(
            Choice(
                index=index,
                parts=tuple(
                    parts[key].whole() for key in sorted(key for key in parts if key[0] == index)
                ),
                finish=finishes[index].finish if index in finishes else Finish("unknown"),
                logprobs=_merge_logprobs(logprobs.get(index)),
                ext=finishes[index].ext if index in finishes else None,
            )
            for index in indices
        ),
    )


def _merge_logprobs(pieces: list[bytes] | None) -> Raw | None:
    """OpenAI's logprob objects of several chunks, their lists joined."""
    if not pieces:
        return None
    joined: dict[str, list[Raw] | None] = {}
    for piece in pieces:
        for name, tokens in msgspec.json.decode(piece, type=dict[str, list[Raw] | None]).items():
            known = joined.setdefault(name, tokens)
            if known is not tokens and tokens:
                joined[name] = [*(known or []), *tokens]
    return Raw(msgspec.json.encode(joined))


def unfold(response: Response) -> list[Event]:
    """A stream that builds the response: every part in one delta."""
    events: list[Event] = [
        Start(
            id=response.id,
            model=response.model,
            created=response.created,
            service_tier=response.service_tier,
            system_fingerprint=response.system_fingerprint,
        )
    ]
    for choice in response.choices:
        for number, part in enumerate(choice.parts):
            events += _unfold_part(part, number, choice.index)
        if choice.logprobs is not None:
            events.append(LogprobNote(bytes(choice.logprobs), choice.index))
        events.append(Finished(choice.finish, choice.index, choice.ext))
    if response.usage is not None:
        events.append(UsageNote(response.usage))
    events.append(End())
    return events


def _unfold_part(part: Part, number: int, choice: int) -> list[Event]:
    deltas: list[Event] = []
    head = part
    match part:
        case Text():
            head = replace(part, text="", citations=())
            deltas += _delta(number, part.text, "text", choice)
            deltas += [Cited(number, citation, choice) for citation in part.citations]
        case Refusal():
            head = replace(part, text="")
            deltas += _delta(number, part.text, "text", choice)
        case Thinking(redacted=False):
            head = replace(part, text="", signature=None)
            deltas += _delta(number, part.text, "text", choice)
            if part.signature is not None:
                deltas.append(PartDelta(number, part.signature, "signature", choice))
        case ToolCall():
            head = replace(part, arguments="")
            deltas += _delta(number, part.arguments, "arguments", choice)
        case Thinking() | Media() | SearchResult() | ToolResult() | Opaque():
            pass
        case _:
            assert_never(part)
    return [PartStart(number, head, choice), *deltas, PartStop(number, choice)]


def _delta(number: int, text: str, field: str, choice: int) -> list[Event]:
    if not text:
        return []
    return [PartDelta(number, text, "arguments" if field == "arguments" else "text", choice)]


def check(events: list[Event]) -> None:
    """Raises AssertionError where a stream breaks an invariant of ``events``; for tests."""
    assert events, "a stream has events"
    assert isinstance(events[0], (Start, Failure)), f"Start is first, not {events[0]!r}"
    assert isinstance(events[-1], (End, Failure)), f"End or Failure is last, not {events[-1]!r}"
    open_parts: set[tuple[int, int]] = set()
    highest: dict[int, int] = {}
    finished: set[int] = set()
    seen: set[int] = set()
    for position, event in enumerate(events):
        match event:
            case Start():
                assert position == 0, "Start comes once"
            case PartStart():
                key = (event.choice, event.part)
                assert event.part > highest.get(event.choice, -1), f"part numbers rise: {event!r}"
                assert event.choice not in finished, f"no part after Finished: {event!r}"
                highest[event.choice] = event.part
                open_parts.add(key)
                seen.add(event.choice)
            case PartDelta() | Cited():
                assert (event.choice, event.part) in open_parts, f"the part is open: {event!r}"
            case PartStop():
                assert (event.choice, event.part) in open_parts, f"the part is open: {event!r}"
                open_parts.remove((event.choice, event.part))
            case Finished():
                assert event.choice not in finished, f"one Finished a choice: {event!r}"
                assert not any(choice == event.choice for choice, _ in open_parts), "parts stopped"
                finished.add(event.choice)
                seen.add(event.choice)
            case End() | Failure():
                assert position == len(events) - 1, f"nothing follows {event!r}"
            case LogprobNote() | UsageNote() | Ping():
                pass
            case _:
                assert_never(event)
    if isinstance(events[-1], End):
        assert not open_parts, f"every part has stopped: {open_parts}"
        assert seen == finished, f"every choice has finished: {seen - finished}"
        assert finished, "at least one choice has finished"
