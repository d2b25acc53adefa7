"""Frames of the journal: every whole record comes back, no other ever does."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.accounting import records
from dragoman.accounting.records import (
    HEADER,
    LONGEST,
    VERSION,
    About,
    Closed,
    Opened,
    Tokens,
    call_id,
    frame,
    frame_into,
    read,
)


def test_records_come_back_as_they_were_written(opened, closed, finished):
    written = [opened(), closed(), finished()]
    reading = read(b"".join(map(frame, written)))
    assert reading.records == written
    assert reading.torn == 0
    assert [call_id(record) for record in written] == ["call-1"] * 3


def test_a_used_buffer_gives_the_same_frame_as_a_new_one(opened, closed):
    buffer = bytearray(b"x" * 1000)
    frame_into(opened(), buffer)
    frame_into(closed(), buffer)
    assert bytes(buffer) == frame(closed())


@pytest.mark.req("D10")
def test_a_file_cut_at_any_byte_gives_all_its_whole_records(opened, closed, finished):
    written = [opened(), closed(), opened("call-2", "attempt-2"), finished("call-2")]
    frames = [frame(record) for record in written]
    data = b"".join(frames)
    ends = [sum(map(len, frames[: number + 1])) for number in range(len(frames))]
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        reading = read(data[:cut])
        assert reading.records == written[:whole]
        assert reading.end == ([0, *ends])[whole]
        assert reading.torn == cut - reading.end


@pytest.mark.req("D10")
def test_a_flipped_byte_hides_its_record_and_those_after_it_and_nothing_else(
    opened, closed, finished
):
    written = [opened(), closed(), finished("call-2")]
    frames = [frame(record) for record in written]
    data = b"".join(frames)
    for place in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            hurt = bytearray(data)
            hurt[place] ^= flip
            before = 0
            while place >= sum(map(len, frames[: before + 1])):
                before += 1
            reading = read(bytes(hurt))
            assert reading.records == written[:before]
            assert reading.torn > 0


def test_a_zeroed_tail_is_no_record(opened):
    data = frame(opened())
    for zeros in (1, HEADER, HEADER + 1, 4096):
        reading = read(data + bytes(zeros))
        assert (len(reading.records), reading.end, reading.torn) == (1, len(data), zeros)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data):
    reading = read(data)
    assert reading.end + reading.torn == len(data)


def _framed(payload: bytes, version: int = VERSION) -> bytes:
    head = struct.pack("<II", len(payload), 0)
    body = bytes([version]) + payload
    return struct.pack("<II", len(payload), crc32(body, crc32(head))) + body


def test_a_sound_frame_of_another_version_or_kind_ends_the_reading(opened):
    payload = frame(opened())[HEADER:]
    assert len(read(_framed(payload)).records) == 1
    assert read(_framed(payload, VERSION + 1)).records == []
    assert read(_framed(msgspec.msgpack.encode(["?", 1]))).records == []
    assert read(_framed(b"x" * (LONGEST + 1))).records == []


def test_a_record_of_before_a_member_was_added_is_still_read(about):
    short = msgspec.msgpack.encode(["c", "attempt-1", "call-1", "complete", 200])
    assert read(_framed(short)).records == [Closed("attempt-1", "call-1", "complete", 200)]


def test_a_long_file_is_read_in_pieces(opened):
    data = frame(opened()) * 10
    found, end = [], 0
    while end < len(data):
        reading = read(data, end, 3)
        assert reading.torn == 0
        assert len(reading.records) <= 3
        found += reading.records
        end = reading.end
    assert found == [opened()] * 10


_TEXT = st.text(max_size=40)
_COUNT = st.none() | st.integers(0, 10**12)


@settings(deadline=None)
@given(
    st.builds(
        Opened, _TEXT, st.builds(About, *[_TEXT] * 8, st.floats(0, 4e9)), _TEXT, st.booleans(),
        st.integers(1, 99), _TEXT, _TEXT, st.none() | _TEXT, st.floats(0, 1e6), _TEXT, _TEXT,
    )
    | st.builds(
        Closed, _TEXT, _TEXT, st.sampled_from(["complete", "timeout"]), st.integers(0, 599),
        st.none() | st.integers(100, 599), st.none() | _TEXT, st.none() | _TEXT,
        st.builds(Tokens, *[_COUNT] * 9), st.sampled_from(["reported", "none"]),
        st.none() | st.integers(0, 2**63 - 1), st.sampled_from(["priced", "provider"]),
    )
)  # fmt: skip
def test_every_record_survives_its_frame(record):
    assert read(frame(record)).records == [record]


def test_the_decoder_knows_every_kind_of_record():
    assert set(records.Record.__args__) == {records.Opened, records.Closed, records.Finished}
