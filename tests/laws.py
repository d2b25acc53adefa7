"""Laws that the streams of every dialect keep, whatever the answer and wherever its bytes are cut."""

from __future__ import annotations

from itertools import pairwise

from dragoman.core.events import Event
from dragoman.core.fold import check, unfold
from dragoman.core.response import Response
from dragoman.dialects.base import Context, Dialect, Facts, StreamReader, Target, Undo


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes cut at these places, counted round and round; some pieces may be empty."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[one:two] for one, two in pairwise(edges)]


def streamed(dialect: Dialect, response: Response, context: Context) -> bytes:
    """An answer as the stream that the dialect makes of it."""
    writer = dialect.stream_writer(context)
    return b"".join(writer.send(event) for event in unfold(response))


def read_whole(reader: StreamReader, data: bytes, cuts: list[int]) -> list[Event]:
    """The events of a stream whose bytes come in pieces."""
    events = [event for piece in pieces(data, cuts) for event in reader.feed(piece)]
    return events + reader.close()


def holds_however_cut(
    dialect: Dialect, data: bytes, cuts: list[int], target: Target, context: Context
) -> Facts:
    """Events and relayed bytes are the same as of the whole; what the relay noted."""
    expected = read_whole(dialect.stream_reader(target, Undo()), data, [])
    assert read_whole(dialect.stream_reader(target, Undo()), data, cuts) == expected
    relay = dialect.relay(target, context)
    passed = b"".join(relay.feed(piece) for piece in pieces(data, cuts))
    assert passed + relay.close() == data
    assert relay.facts.error is None
    return relay.facts


def tells_the_cut(
    dialect: Dialect, data: bytes, kept: bytes, target: Target, context: Context
) -> bytes:
    """An answer that breaks off is told by reader and relay; the bytes that the relay passed on."""
    events = read_whole(dialect.stream_reader(target, Undo()), kept, [])
    check(events)
    assert events[-1].error.code == "upstream_truncated"
    relay = dialect.relay(target, context)
    passed = relay.feed(kept) + relay.close()
    assert data.startswith(passed.removesuffix(b"\n\n"))
    assert relay.facts.error.code == "upstream_truncated"
    return passed
