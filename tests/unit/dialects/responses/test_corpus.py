"""Real Responses traffic through every reader and writer; skipped where the recordings are not."""

from __future__ import annotations

import json

from msgspec.structs import replace

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.events import Failure
from dragoman.core.fold import check, fold, unfold
from dragoman.core.response import Response
from dragoman.core.usage import in_tier
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.responses import RESPONSES
from recorded import exchanges

FAMILY = "openai_responses"
TARGET = Target("openai", "m")
CONTEXT = Context("c" * 32, 1, "m")
ENDS = ('"type":"response.completed"', '"type":"response.incomplete"')


def streams():
    """Recordings of exactly one stream that came to its end."""
    for record in exchanges(FAMILY):
        text = record.get("response_sse_text") or ""
        if sum(text.replace('": "', '":"').count(end) for end in ENDS) == 1:
            yield record["id"], text.encode()


def replies():
    for record in exchanges(FAMILY):
        body = record.get("response_json")
        if record["status"] == 200 and isinstance(body, dict) and body.get("object") == "response":
            yield record["id"], json.dumps(body, ensure_ascii=False).encode()


def read(data: bytes, size: int | None = None) -> list:
    reader = RESPONSES.stream_reader(TARGET, Undo())
    if size is None:
        return reader.feed(data) + reader.close()
    pieces = [data[n : n + size] for n in range(0, len(data), size)]
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def bare(response: Response) -> Response:
    """What a stream says at its start is what was asked for, not which tier will serve."""
    return replace(response, service_tier=None, created=None)


def test_every_stream_passes_as_its_own_bytes():
    seen = 0
    for name, data in streams():
        relay = RESPONSES.relay(TARGET, CONTEXT)
        passed = b"".join(relay.feed(data[n : n + 997]) for n in range(0, len(data), 997))
        passed += relay.close()
        assert relay.facts.finished, name
        assert relay.facts.error is None, name
        assert relay.facts.finish is not None, name
        if b"event:" in data:
            assert passed.rstrip() == data.split(b"data: [DONE]")[0].rstrip(), name
        seen += 1
    assert seen > 200


def test_every_stream_reads_the_same_however_it_is_cut_and_is_written_to_read_the_same():
    for name, data in streams():
        events = read(data)
        check(events)
        assert not isinstance(events[-1], Failure), name
        if len(data) < 40_000:
            assert read(data, 13) == events, name
        writer = RESPONSES.stream_writer(CONTEXT)
        again = read(b"".join(writer.send(event) for event in events))
        check(again)
        first, second = fold(events), fold(again)
        assert second.choices[0].parts == first.choices[0].parts, name
        assert second.choices[0].finish.reason == first.choices[0].finish.reason, name


def test_every_reply_is_read_written_tapped_and_told_as_a_stream():
    seen = 0
    for name, data in replies():
        try:
            response = RESPONSES.read_response(data, TARGET, Undo())
        except UpstreamError:
            assert b'"status": "completed"' not in data, name
            continue
        tapped = RESPONSES.tap_response(data, TARGET, CONTEXT)
        assert tapped.body is data, name
        assert tapped.usage == in_tier(response.usage, response.service_tier), name
        assert tapped.finish == response.choices[0].finish, name
        assert fold(unfold(response)) == response, name
        assert bare(fold(read(RESPONSES.response_frames(data)))) == bare(response), name
        written = RESPONSES.write_response(response, CONTEXT).body
        again = RESPONSES.read_response(written, TARGET, Undo())
        assert again.choices[0].parts == response.choices[0].parts, name
        seen += 1
    assert seen > 600


def test_every_request_is_read_or_refused_by_its_member_and_is_written_to_read_the_same():
    seen, refused = 0, []
    for record in exchanges(FAMILY):
        body = record.get("request_json")
        if not isinstance(body, dict) or not record["path"].endswith("/responses"):
            continue
        try:
            request = RESPONSES.read_request(json.dumps(body, ensure_ascii=False).encode())
            sent = RESPONSES.write_request(request, TARGET)
        except CallerError as error:
            refused.append(error)
            continue
        again = RESPONSES.read_request(sent.body)
        assert len(again.tools) == len(request.tools), record["id"]
        assert RESPONSES.write_request(request, TARGET) == sent, record["id"]
        seen += 1
    assert seen > 900
    assert all(error.param for error in refused)
