"""Real Gemini traffic through every reader and writer; skipped where the recordings are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.events import End
from dragoman.core.fold import check, fold, unfold
from dragoman.core.parts import Text
from dragoman.core.request import Request
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, ErrorContext, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.gemini import GEMINI
from recorded import exchanges

TARGET = Target("google", "gemini-3-pro")
CONTEXT = Context("c" * 32, 1, "gemini-3-pro")
ARRAY = Context("c" * 32, 1, "gemini-3-pro", array=True)


def streams() -> Iterator[tuple[str, bytes]]:
    for record in exchanges("gemini"):
        text = record.get("response_sse_text") or ""
        if record["status"] == 200 and '"candidates"' in text and '"finishReason"' in text:
            yield record["id"], text.encode()


def replies() -> Iterator[tuple[str, bytes]]:
    for record in exchanges("gemini"):
        body = record.get("response_json")
        if record["status"] == 200 and isinstance(body, dict) and "candidates" in body:
            yield record["id"], json.dumps(body, ensure_ascii=False).encode()


def requests() -> Iterator[tuple[str, Request]]:
    for record in exchanges("gemini"):
        asked = record["request_json"]
        generates = "enerateContent" in record["path"]
        known = generates and isinstance(asked, dict) and "cachedContent" not in asked
        if record["status"] == 200 and known:
            yield record["id"], GEMINI.read_request(json.dumps(asked).encode())


def read(data: bytes, step: int | None = None) -> list[Any]:
    reader = GEMINI.stream_reader(TARGET, Undo())
    step = step or len(data)
    found = [e for n in range(0, len(data), step) for e in reader.feed(data[n : n + step])]
    return found + reader.close()


def test_every_stream_passes_as_its_own_bytes_and_to_an_array_as_the_same_objects():
    seen = 0
    for name, data in streams():
        relay = GEMINI.relay(TARGET, CONTEXT)
        passed = b"".join(relay.feed(data[n : n + 997]) for n in range(0, len(data), 997))
        passed += relay.close()
        assert relay.facts.error is None, name
        assert relay.facts.finished, name
        if b'"modelVersion"' in data:
            assert passed.rstrip() == data.rstrip(), name
        assert fold(read(passed)).choices == fold(read(data)).choices, name
        arrayed = GEMINI.relay(TARGET, ARRAY)
        listed = json.loads(arrayed.feed(data) + arrayed.close())
        assert len(listed) == passed.count(b"data: {"), name
        seen += 1
    assert seen > 50


def test_every_stream_reads_the_same_however_it_is_cut_and_is_written_to_read_the_same():
    for name, data in streams():
        events = read(data)
        check(events)
        assert isinstance(events[-1], End), name
        assert read(data, 131) == events, name
        for context in (CONTEXT, ARRAY):
            writer = GEMINI.stream_writer(context)
            written = b"".join(writer.send(event) for event in events)
            first, second = fold(events), fold(read(written))
            assert second.usage.output == first.usage.output, name
            for was, now in zip(first.choices, second.choices, strict=True):
                assert _words(now) == _words(was), name
                assert now.finish.reason == was.finish.reason, name


def _words(choice: Any) -> list[tuple[type, str]]:
    """Every part with what it says; empty texts say nothing."""
    told = [
        (type(part), getattr(part, "text", getattr(part, "name", ""))) for part in choice.parts
    ]
    return [(kind, text) for kind, text in told if text or kind is not Text]


def test_every_reply_is_read_written_tapped_and_told_as_a_stream():
    seen = 0
    for name, data in replies():
        response = GEMINI.read_response(data, TARGET, Undo())
        tapped = GEMINI.tap_response(data, TARGET, CONTEXT)
        assert tapped.usage == response.usage or b'"usageMetadata"' not in data, name
        if b'"modelVersion"' in data:
            assert tapped.body is data, name
        assert fold(unfold(response)) == response, name
        assert fold(read(GEMINI.response_frames(data))) == response, name
        try:
            written = GEMINI.write_response(response, CONTEXT)
        except UpstreamError:
            continue  # An end that no completion may be made of (P137).
        again = GEMINI.read_response(written.body, TARGET, Undo())
        for was, now in zip(response.choices, again.choices, strict=True):
            assert _words(now) == _words(was), name
            assert now.finish.reason == was.finish.reason, name
        seen += 1
    assert seen > 100


def test_every_request_is_read_and_written_to_mean_the_same():
    seen = 0
    for name, request in requests():
        written = GEMINI.write_request(request, TARGET)
        again = GEMINI.read_request(written.body)
        told = [part.text for one in request.messages for part in one.parts if type(part) is Text]
        retold = [part.text for one in again.messages for part in one.parts if type(part) is Text]
        assert [t for t in retold if t.strip()] == [t for t in told if t.strip()], name
        assert [t.name for t in again.tools if hasattr(t, "name")] == [
            t.name for t in request.tools if hasattr(t, "name")
        ], name
        assert again.max_tokens == request.max_tokens, name
        seen += 1
    assert seen > 200


@pytest.mark.parametrize("foreign", [CHAT, ANTHROPIC], ids=["chat", "anthropic"])
def test_everything_is_told_in_another_dialect_or_refused_in_words(foreign):
    target = Target("p", "m")
    told = 0
    for _, request in requests():
        try:
            json.loads(foreign.write_request(request, target).body)
        except CallerError:
            continue
        told += 1
    assert told > 150
    for name, data in replies():
        response = GEMINI.read_response(data, TARGET, Undo())
        try:
            body = foreign.write_response(response, CONTEXT).body
        except UpstreamError:
            continue
        assert json.loads(body), name
    for name, data in streams():
        writer = foreign.stream_writer(CONTEXT)
        out = b"".join(writer.send(event) for event in read(data))
        assert out, name


@pytest.mark.pitfall(141)
def test_every_error_is_read_with_its_words():
    seen = 0
    for record in exchanges("gemini"):
        body = record.get("response_json")
        if record["status"] == 200 or not isinstance(body, dict) or "error" not in body:
            continue
        error = GEMINI.read_error(record["status"], {}, json.dumps(body).encode())
        assert isinstance(error, UpstreamError)
        told = json.loads(GEMINI.write_error(error, ErrorContext("r")).body)
        assert next(iter(told)) == "error", record["id"]
        seen += 1
    assert seen > 5
