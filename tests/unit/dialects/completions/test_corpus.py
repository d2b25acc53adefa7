"""Real legacy completions through every reader and writer; skipped where the recordings are not."""

from __future__ import annotations

import json

from dragoman.core.errors import CallerError
from dragoman.core.events import End
from dragoman.core.fold import check, fold
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.registry import DIALECTS
from recorded import exchanges

COMPLETIONS = DIALECTS["completions"]
TARGET = Target("openai", "m")
CONTEXT = Context("c" * 32, 1, "m", include_usage=True)


def test_every_stream_passes_as_its_own_frames_and_reads_the_same_however_it_is_cut():
    seen = 0
    for record in exchanges("openai_completions"):
        data = (record.get("response_sse_text") or "").encode()
        if not data or data.count(b"[DONE]") != 1:
            continue
        name = record["id"]
        relay = COMPLETIONS.relay(TARGET, CONTEXT)
        passed = b"".join(relay.feed(data[n : n + 97]) for n in range(0, len(data), 97))
        passed += relay.close()
        assert relay.facts.error is None, name
        if b'"model"' in data:
            assert passed.rstrip() == data.rstrip(), name
        whole = COMPLETIONS.stream_reader(TARGET, Undo())
        events = whole.feed(data) + whole.close()
        check(events)
        assert isinstance(events[-1], End), name
        pieced = COMPLETIONS.stream_reader(TARGET, Undo())
        found = [e for n in range(0, len(data), 13) for e in pieced.feed(data[n : n + 13])]
        assert found + pieced.close() == events, name
        writer = COMPLETIONS.stream_writer(CONTEXT)
        written = b"".join(writer.send(event) for event in events)
        again = COMPLETIONS.stream_reader(TARGET, Undo())
        one, two = fold(events), fold(again.feed(written) + again.close())
        assert [c.parts for c in one.choices] == [c.parts for c in two.choices], name
        assert [c.finish for c in one.choices] == [c.finish for c in two.choices], name
        seen += 1
    assert seen > 5


def test_every_reply_is_read_written_and_tapped():
    seen = 0
    for record in exchanges("openai_completions"):
        body = record.get("response_json")
        if record["status"] != 200 or not isinstance(body, dict) or "choices" not in body:
            continue
        if body.get("object") != "text_completion":
            continue
        data = json.dumps(body, ensure_ascii=False).encode()
        response = COMPLETIONS.read_response(data, TARGET, Undo())
        texts = ["".join(part.text for part in choice.parts) for choice in response.choices]
        assert texts == [choice["text"] for choice in body["choices"]], record["id"]
        written = json.loads(COMPLETIONS.write_response(response, CONTEXT).body)
        assert [choice["text"] for choice in written["choices"]] == texts, record["id"]
        assert COMPLETIONS.tap_response(data, TARGET, CONTEXT).usage == response.usage
        reader = COMPLETIONS.stream_reader(TARGET, Undo())
        events = reader.feed(COMPLETIONS.response_frames(data)) + reader.close()
        assert fold(events).choices == response.choices, record["id"]
        seen += 1
    assert seen > 20


def test_every_request_is_read_and_written_or_refused_by_name():
    read = 0
    refused: list[str | None] = []
    for record in exchanges("openai_completions"):
        if record["request_json"] is None or "prompt" not in record["request_json"]:
            continue
        try:
            request = COMPLETIONS.read_request(json.dumps(record["request_json"]).encode())
        except CallerError as error:
            refused.append(error.param)
            continue
        out = COMPLETIONS.write_request(request, Target("openai", request.model))
        assert out.losses == (), record["id"]
        assert COMPLETIONS.read_request(out.body).messages == request.messages, record["id"]
        read += 1
    assert read > 30
    assert {"prompt"} <= set(refused) <= {"prompt", "echo", "suffix"}
