"""The dialects alone: microseconds for a frame or a body, and frames a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dragoman.core.ask import read_ask
from dragoman.core.events import Event
from dragoman.core.provider import Family, Quirks
from dragoman.dialects.base import Context, Relay, Target, Undo
from dragoman.dialects.registry import DIALECTS, open_relay
from traffic import question, stream, whole

FRAMES = 200
"""Pieces of text in one go of a stream; its opening and ending are fed outside the clock's view."""


@dataclass(frozen=True)
class Piece:
    """Something to be timed: ``work`` does it ``per`` times."""

    name: str
    work: Callable[[], object]
    per: int = 1


@dataclass(frozen=True)
class Said:
    """A stream of one dialect, and the same answer whole."""

    opening: bytes
    frames: tuple[bytes, ...]
    whole: bytes


def pieces() -> Iterator[Piece]:
    """Every codec of every dialect, and every way from one to another."""
    said = {family: _said(family) for family in DIALECTS}
    for family in DIALECTS:
        yield from _of(family, said[family])
    for source in DIALECTS:
        for goal in DIALECTS:
            if source != goal:
                yield _way(f"translate {source} → {goal}, frame", source, goal, said[source])
    for source in DIALECTS:
        for goal in DIALECTS:
            if source != goal:
                yield _whole_way(source, goal, said[source].whole)


def _said(family: Family) -> Said:
    """The words of the bench in a dialect: its own frames, or those that our writer makes."""
    if family in {"chat", "anthropic"}:
        told = stream("chat" if family == "chat" else "anthropic")
        frames = tuple(told.piece(n) for n in range(FRAMES))
        return Said(told.opening, frames, whole("chat" if family == "chat" else "anthropic"))
    chat, goal = DIALECTS["chat"], DIALECTS[family]
    told = stream("chat")
    relay = open_relay(goal, chat, _target("chat"), _context(), Undo())
    opening = relay.feed(told.opening)
    # The first words open what they stand in.
    opening += relay.feed(told.piece(0))
    frames = tuple(relay.feed(told.piece(n)) for n in range(1, FRAMES + 1))
    response = chat.read_response(whole("chat"), _target("chat"), Undo())
    return Said(opening, frames, goal.write_response(response, _context()).body)


def _target(family: Family) -> Target:
    flavour = "openai" if family == "chat" else "plain"
    return Target(family, "a-model", Quirks(flavour=flavour))


def _context() -> Context:
    return Context("0" * 32, 1_763_650_000, "a-model", include_usage=True)


def _of(family: Family, said: Said) -> Iterator[Piece]:
    dialect = DIALECTS[family]
    target = _target(family)
    body = said.whole

    def read() -> list[Event]:
        reader = dialect.stream_reader(target, Undo())
        events = reader.feed(said.opening)
        for frame in said.frames:
            events += reader.feed(frame)
        return events

    events = read()

    def write() -> None:
        writer = dialect.stream_writer(_context())
        for event in events:
            writer.send(event)

    response = dialect.read_response(body, target, Undo())
    yield _way(f"relay {family}, frame", family, family, said)
    yield Piece(f"read {family}, frame", read, FRAMES)
    yield Piece(f"write {family}, event", write, len(events))
    yield Piece(
        f"tap {family}, whole reply", lambda: dialect.tap_response(body, target, _context())
    )
    yield Piece(f"read {family}, whole reply", lambda: dialect.read_response(body, target, Undo()))
    yield Piece(
        f"write {family}, whole reply", lambda: dialect.write_response(response, _context())
    )


def _way(name: str, source: Family, goal: Family, said: Said) -> Piece:
    target = _target(source)

    def run() -> Relay:
        relay = open_relay(DIALECTS[goal], DIALECTS[source], target, _context(), Undo())
        relay.feed(said.opening)
        for frame in said.frames:
            relay.feed(frame)
        return relay

    return Piece(name, run, FRAMES)


def _whole_way(source: Family, goal: Family, body: bytes) -> Piece:
    target = _target(source)

    def run() -> bytes:
        response = DIALECTS[source].read_response(body, target, Undo())
        return DIALECTS[goal].write_response(response, _context()).body

    return Piece(f"translate {source} → {goal}, whole reply", run)


def requests() -> Iterator[Piece]:
    """A chat request on its way to a provider of its own family, and of the other."""
    body = question("openai/gpt-4o-mini").encode()
    ask = read_ask(body)
    chat, other = DIALECTS["chat"], DIALECTS["anthropic"]
    request = chat.read_request(body)
    yield Piece("read the top level of a request", lambda: read_ask(body))
    yield Piece("patch a chat request", lambda: chat.patch_request(ask.members, _target("chat")))
    yield Piece("read a chat request", lambda: chat.read_request(body))
    yield Piece(
        "write it for Anthropic", lambda: other.write_request(request, _target("anthropic"))
    )
