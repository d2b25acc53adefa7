"""The way out for log lines: a reader that never reads costs lines, never time."""

import json
import os
import time
from contextlib import suppress

import pytest

from dragoman.telemetry.log import Log
from dragoman.telemetry.outlet import Outlet


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):
            os.close(descriptor)


def taken(reading, size):
    found = b""
    while len(found) < size:
        found += os.read(reading, 1 << 16)
    return found


def test_what_the_thread_gets_is_written_in_order(pipe):
    reading, writing = pipe
    outlet = Outlet(writing)
    outlet.start()
    outlet.start()
    pieces = [b"%d\n" % number for number in range(500)]
    assert all(outlet.put(piece, 1) for piece in pieces)
    outlet.stop()
    assert taken(reading, len(b"".join(pieces))) == b"".join(pieces)
    assert outlet.lost == 0


def test_a_full_pipe_costs_lines_and_no_time_and_is_written_to_again(pipe):
    reading, writing = pipe
    outlet = Outlet(writing, room=200_000)
    outlet.start()
    piece = b"x" * 9_999 + b"\n"
    start = time.monotonic()
    kept = sum(outlet.put(piece, 1) for _ in range(100))
    assert time.monotonic() - start < 1
    assert 20 <= kept < 60
    assert outlet.lost == 100 - kept
    assert taken(reading, kept * len(piece)) == piece * kept
    while not outlet.put(b"again\n", 1):
        time.sleep(0.01)
    outlet.stop()
    assert os.read(reading, 100) == b"again\n"


def test_the_end_does_not_wait_for_a_reader_that_never_comes(pipe):
    reading, writing = pipe
    outlet = Outlet(writing)
    outlet.start()
    outlet.put(b"x" * 200_000, 1)
    start = time.monotonic()
    outlet.stop(0.05)
    outlet.stop(0.05)
    assert not outlet.put(b"after\n", 1)
    assert outlet.lost == 1
    assert time.monotonic() - start < 1
    # Else the thread would go on in the next test, whose pipe gets the same numbers.
    assert len(taken(reading, 200_000)) == 200_000


def test_after_the_end_lines_are_written_at_once(pipe):
    reading, writing = pipe
    outlet = Outlet(writing)
    outlet.start()
    outlet.stop()
    assert outlet.put(b"after\n", 1)
    assert os.read(reading, 100) == b"after\n"


def test_a_pipe_without_a_reader_counts_what_is_lost(pipe):
    reading, writing = pipe
    os.close(reading)
    outlet = Outlet(writing)
    outlet.start()
    outlet.put(b"a\nb\n", 2)
    outlet.stop()
    assert outlet.lost == 2


def test_a_piece_that_is_taken_in_parts_is_written_whole(pipe, monkeypatch):
    reading, writing = pipe
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, piece: write(descriptor, piece[:3]))
    Outlet(writing).put(b"abcdefgh\n", 1)
    assert os.read(reading, 100) == b"abcdefgh\n"


def test_the_log_says_how_many_lines_were_lost_once_there_is_room_again(pipe):
    reading, writing = pipe
    log = Log("info", "json", writing)
    log.outlet = Outlet(writing, room=100_000)
    log.outlet.start()
    for _ in range(40):
        log.event("info", "x" * 10_000)
    lost = log.lost
    assert lost > 10
    found = taken(reading, (40 - lost) * 10_000)
    log.event("info", "room")
    log.close()
    os.close(writing)
    while piece := os.read(reading, 1 << 16):
        found += piece
    lines = [json.loads(line) for line in found.splitlines()]
    told = [line for line in lines if line["message"].startswith("log lines were lost")]
    assert sum(line["number"] for line in told) == log.lost == lost
    assert sum(line["message"].startswith("xxx") for line in lines) == 40 - lost
    assert "room" in [line["message"] for line in lines]
