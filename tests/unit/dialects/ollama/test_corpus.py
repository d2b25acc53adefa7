"""Real Ollama traffic through every reader and writer; skipped where the recordings are not."""

from __future__ import annotations

import json
from collections.abc import Iterator

from dragoman.core.errors import UpstreamError
from dragoman.core.events import End
from dragoman.core.fold import check, fold, unfold
from dragoman.dialects.base import Context, Dialect, Target, Undo
from dragoman.dialects.ollama import GENERATE, OLLAMA
from dragoman.dialects.ollama.embeddings import EMBEDDER
from recorded import exchanges

TARGET = Target("ollama", "m")
CONTEXT = Context("c" * 32, 1, "m")
FAMILIES = {"ollama_chat": OLLAMA, "ollama_generate": GENERATE}


def streams() -> Iterator[tuple[str, Dialect, bytes]]:
    for name, dialect in FAMILIES.items():
        for record in exchanges(name):
            if text := record.get("response_sse_text"):
                yield record["id"], dialect, text.encode()


def replies() -> Iterator[tuple[str, Dialect, bytes]]:
    for name, dialect in FAMILIES.items():
        for record in exchanges(name):
            body = record.get("response_json")
            if record["status"] == 200 and isinstance(body, dict) and "done" in body:
                yield record["id"], dialect, json.dumps(body, ensure_ascii=False).encode()


def test_every_stream_passes_as_its_own_lines():
    seen = 0
    for name, dialect, data in streams():
        relay = dialect.relay(TARGET, CONTEXT)
        passed = b"".join(relay.feed(data[n : n + 997]) for n in range(0, len(data), 997))
        passed += relay.close()
        assert passed.split() == data.split(), name
        assert relay.facts.finished, name
        assert relay.facts.usage.known is (b"eval_count" in data), name
        seen += 1
    assert seen > 20


def test_every_stream_reads_the_same_however_it_is_cut_and_is_written_to_read_the_same():
    for name, dialect, data in streams():
        whole = dialect.stream_reader(TARGET, Undo())
        events = whole.feed(data) + whole.close()
        check(events)
        assert isinstance(events[-1], End), name
        pieced = dialect.stream_reader(TARGET, Undo())
        found = [e for n in range(0, len(data), 13) for e in pieced.feed(data[n : n + 13])]
        assert found + pieced.close() == events, name
        writer = dialect.stream_writer(CONTEXT)
        written = b"".join(writer.send(event) for event in events)
        again = dialect.stream_reader(TARGET, Undo())
        assert fold(again.feed(written) + again.close()) == fold(events), name


def test_every_reply_is_read_written_tapped_and_told_as_a_stream():
    seen = 0
    for name, dialect, body in replies():
        response = dialect.read_response(body, TARGET, Undo())
        written = dialect.write_response(response, CONTEXT)
        assert written.losses == (), name
        if response.choices[0].finish.reason != "unknown":  # which is told as a regular end
            assert dialect.read_response(written.body, TARGET, Undo()) == response, name
        tapped = dialect.tap_response(body, TARGET, CONTEXT)
        assert (tapped.body, tapped.usage) == (body, response.usage), name
        reader = dialect.stream_reader(TARGET, Undo())
        assert fold(reader.feed(dialect.response_frames(body)) + reader.close()) == response, name
        writer = dialect.stream_writer(CONTEXT)
        assert b"".join(writer.send(event) for event in unfold(response)).endswith(b"}\n"), name
        seen += 1
    assert seen > 20


def test_every_request_is_read_and_written_to_read_the_same():
    seen = 0
    asked = [(dialect, record) for name, dialect in FAMILIES.items() for record in exchanges(name)]
    for dialect, record in asked:
        if record["request_json"] is None:
            continue
        request = dialect.read_request(json.dumps(record["request_json"]).encode())
        out = dialect.write_request(request, Target("ollama", request.model))
        assert out.losses == (), record["id"]
        assert dialect.read_request(out.body) == request, record["id"]
        seen += 1
    assert seen > 30


def test_every_embedding_is_asked_for_and_read():
    for record in exchanges("ollama_embeddings"):
        request = EMBEDDER.read_request(json.dumps(record["request_json"]).encode())
        body = json.dumps(record["response_json"]).encode()
        found = EMBEDDER.read_response(body, TARGET)
        assert len(found.vectors) == len(request.inputs), record["id"]
        told = json.loads(EMBEDDER.write_response(found, request, CONTEXT).body)
        kept = ("embedding", "embeddings", "prompt_eval_count")
        expected = record["response_json"]
        assert {n: v for n, v in told.items() if n in kept} == {
            n: v for n, v in expected.items() if n in kept
        }, record["id"]


def test_every_error_is_read_with_its_words():
    for record in exchanges("ollama_chat"):
        if record["status"] >= 400:
            body = json.dumps(record["response_json"]).encode()
            error = OLLAMA.read_error(record["status"], {}, body)
            assert isinstance(error, UpstreamError)
            assert error.message == record["response_json"]["error"], record["id"]
