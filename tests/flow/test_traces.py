"""Traces as a collector gets them: over HTTP and gRPC, from the process that users start."""

import itertools
import json
import re
import sqlite3
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from collector import collecting, collecting_grpc
from harness.dialects import DIALECTS, PROVIDERS
from servers import gateway_server, mock_server, providers_at, until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "congo=t61rcWkgMzE"}
SERVER, CLIENT = 2, 3
PROMPT = "canary-prompt-6d1f"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(32)
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


def trace_of(number):
    return f"{number:032x}"


def under(number, flags="01"):
    return {"traceparent": f"00-{trace_of(number)}-{PARENT}-{flags}"}


@pytest.fixture(scope="module")
def collector():
    with collecting() as up:
        yield up


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("traced")) as server:
        yield server


@pytest.fixture(scope="module")
def house(provider, collector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    (folder / "dragoman.toml").write_text(
        '[aliases]\nspare = ["openai/gpt-4o-mini--mock-status-503", "groq/llama-3.1-8b-instant"]\n'
    )
    environment = {
        **providers_at(provider.port),
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=ops%20team",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "LOG_LEVEL": "info",
        "IMAGE_FETCH_ALLOW_PRIVATE": "true",
    }
    with gateway_server(folder, **environment) as server:
        yield server


@pytest.mark.req("R-OBS-003", "R-OBS-004", "R-ENV-011")
def test_a_call_is_two_spans_with_the_words_of_the_conventions(house, collector, provider):
    reply = house.chat("openai/gpt-4o-mini", PROMPT, HEADERS, temperature=0.5, max_tokens=64)
    assert reply.status == 200
    assert reply.headers["x-trace-id"] == TRACE
    entry, tried = collector.of(TRACE, 2)
    assert (entry.name, entry.kind) == ("POST /v1/chat/completions", SERVER)
    assert entry.parent_id == PARENT
    assert entry.state == "congo=t61rcWkgMzE"
    assert entry.flags & 0x301 == 0x301
    assert entry.resource["service.name"] == "dragoman"
    assert entry.resource["deployment.environment.name"] == "test"
    assert entry.said["http.route"] == "/v1/chat/completions"
    assert entry.said["http.response.status_code"] == 200
    assert entry.said["gen_ai.request.model"] == "openai/gpt-4o-mini"
    assert entry.said["dragoman.call_id"] == reply.headers["x-dragoman-call-id"]
    assert entry.said["dragoman.tenant"] == "local"
    assert not entry.failed
    assert (tried.name, tried.kind) == ("chat gpt-4o-mini", CLIENT)
    assert tried.parent_id == entry.span_id
    usage = reply.json()["usage"]
    assert tried.said["gen_ai.operation.name"] == "chat"
    assert tried.said["gen_ai.provider.name"] == "openai"
    assert tried.said["gen_ai.request.model"] == "gpt-4o-mini"
    assert tried.said["gen_ai.request.temperature"] == 0.5
    assert tried.said["gen_ai.request.max_tokens"] == 64
    assert tried.said["gen_ai.response.finish_reasons"] == ["stop"]
    assert tried.said["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
    assert tried.said["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    assert tried.said["gen_ai.response.id"] == reply.json()["id"]
    assert tried.said["server.address"] == "127.0.0.1"
    assert tried.said["server.port"] == provider.port
    assert tried.said["dragoman.cost_usd"] == reply.headers["x-dragoman-cost-usd"]
    assert entry.start <= tried.start <= tried.end <= entry.end
    assert collector.headers[-1]["x-tenant"] == "ops team"
    assert collector.paths[-1] == "/v1/traces"
    assert not any(PROMPT.encode() in body for body in collector.bodies)


@pytest.mark.req("R-OBS-004")
def test_the_trace_id_is_in_the_answer_the_log_the_ledger_and_at_the_provider(
    house, collector, provider
):
    reply = house.chat(headers=under(2))
    trace = trace_of(2)
    _, tried = collector.of(trace, 2)
    lines = until(
        lambda: [json.loads(line) for line in house.log.read_text().splitlines() if trace in line]
    )
    assert [line["trace_id"] for line in lines] == [trace]
    assert lines[0]["request_id"] == reply.headers["x-request-id"]
    seen = provider.ask("GET", "/mock/truth", key=None).json()["requests"]
    assert trace in {entry["trace"] for entry in seen}
    house.rows()
    with sqlite3.connect(house.environment["DRAGOMAN_HOME"] + "/dragoman.db") as found:
        rows = found.execute("SELECT trace_id FROM ledger_requests").fetchall()
    found.close()
    assert (trace,) in rows
    assert tried.said["http.response.status_code"] == 200


def test_a_stream_tells_its_first_chunk_and_why_it_ended(house, collector):
    reply = house.chat(headers=under(3), stream=True)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    entry, tried = collector.of(trace_of(3), 2)
    assert entry.said["gen_ai.request.stream"] is True
    assert 0 < tried.said["gen_ai.response.time_to_first_chunk"] < 10
    assert tried.said["gen_ai.response.finish_reasons"] == ["stop"]
    assert tried.said["gen_ai.usage.output_tokens"] > 0


def test_a_translated_call_is_told_by_whom_it_was_answered(house, collector):
    reply = house.ask(
        "POST",
        "/v1/messages",
        {
            "model": "google/gemini-2.5-flash",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "Hi"}],
        },
        under(4),
    )
    assert reply.status == 200, reply.body
    entry, tried = collector.of(trace_of(4), 2)
    assert entry.said["http.route"] == "/v1/messages"
    assert tried.said["gen_ai.provider.name"] == "gcp.gemini"


def test_the_model_that_answered_is_the_one_that_the_provider_names(house, collector):
    """Whole and in streams, within each dialect and from each to another."""
    traces = itertools.count(900)
    wanted = {}
    for caller, dialect in DIALECTS.items():
        for provider in (PROVIDERS[caller], "openai", "anthropic"):
            for stream in (False, True):
                model = f"some-model--mock-words-{next(traces)}"
                number = int(model.rpartition("-")[2])
                wanted[trace_of(number)] = model
                name = f"{provider}/{model}"
                path, body = dialect.path(name, stream), dialect.body(name, stream, "Hi")
                reply = house.ask("POST", path, body, under(number))
                assert reply.status == 200, reply.body
    for trace, model in wanted.items():
        _, tried = collector.of(trace, 2)
        assert tried.said["gen_ai.response.model"] == model
        assert tried.said["gen_ai.request.model"] == model


def test_retries_and_the_next_candidate_are_spans_of_their_own(house, collector):
    reply = house.chat("spare", headers=under(5))
    assert reply.status == 200, reply.body
    entry, *tries = collector.of(trace_of(5), 1 + int(reply.headers["x-dragoman-attempts"]))
    assert [one.parent_id for one in tries] == [entry.span_id] * len(tries)
    assert [one.said["dragoman.attempt.number"] for one in tries] == [*range(1, len(tries) + 1)]
    *failed, last = tries
    assert failed
    assert all(one.failed for one in failed)
    assert {one.said["http.response.status_code"] for one in failed} == {503}
    assert all(one.said["error.type"] for one in failed)
    assert last.said["dragoman.attempt.cause"] == "fallback"
    assert {one.said["dragoman.attempt.cause"] for one in failed[1:]} <= {"retry"}
    assert last.said["gen_ai.provider.name"] == "groq"
    assert not last.failed
    assert not entry.failed
    assert entry.said["dragoman.attempts"] == len(tries)


@contextmanager
def pictures():
    """A server that has one picture; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path.startswith("/there")
            self.send_response(200 if found else 404)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(PICTURE)))
            self.end_headers()
            self.wfile.write(PICTURE)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def look(*urls):
    """A request for a provider that takes bytes alone."""
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    said = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *shown]}]
    return {"model": "google/gemini-2.5-flash", "messages": said}


def test_what_was_fetched_is_a_span_without_an_address(house, collector):
    with pictures() as port:
        there, gone = (f"http://127.0.0.1:{port}/{name}-{PROMPT}" for name in ("there", "gone"))
        body = look(there, there + "-too")
        reply = house.ask("POST", "/v1/chat/completions", body, under(16))
        assert reply.status == 200, reply.body
        spans = collector.of(trace_of(16), 3)
        (entry,) = [span for span in spans if span.kind == SERVER]
        (fetched,) = [span for span in spans if span.name == "fetch"]
        assert (fetched.parent_id, fetched.kind) == (entry.span_id, CLIENT)
        assert fetched.said == {
            "dragoman.fetch.items": 2,
            "dragoman.fetch.bytes": 2 * len(PICTURE),
        }
        assert entry.start <= fetched.start <= fetched.end <= entry.end
        assert not fetched.failed
        reply = house.ask("POST", "/v1/chat/completions", look(gone), under(17))
        assert reply.status == 400, reply.body
        failed = [span for span in collector.of(trace_of(17), 2) if span.name == "fetch"]
        assert [span.failed for span in failed] == [True]
        assert failed[0].said["error.type"]
    assert not any(PROMPT.encode() in sent for sent in collector.bodies)


def test_a_failure_is_told_with_its_kind_and_without_words(house, collector):
    reply = house.chat(
        "openai/gpt-4o-mini--mock-status-400", PROMPT, under(6), routing={"max_attempts": 1}
    )
    assert reply.status == 400
    entry, tried = collector.of(trace_of(6), 2)
    assert tried.failed
    assert tried.said["error.type"]
    assert entry.said["error.type"]
    assert entry.said["http.response.status_code"] == 400
    refused = house.ask("POST", "/v1/chat/completions", {"model": 7}, under(7))
    assert refused.status == 400
    (only,) = collector.of(trace_of(7), 1)
    assert only.said["dragoman.status"] == "refused"
    assert only.said["error.type"] == "invalid_field_type"
    cut = house.chat(
        "openai/gpt-4o-mini--mock-length-6000--mock-cut-4000", headers=under(8), stream=True
    )
    assert b'"error"' in cut.body
    entry, tried = collector.of(trace_of(8), 2)
    assert (tried.failed, entry.failed) == (True, True)
    assert tried.said["dragoman.attempt.status"] == "upstream_cut"


def test_embeddings_and_counts_have_their_own_operation(house, collector):
    reply = house.ask(
        "POST",
        "/v1/embeddings",
        {"model": "openai/text-embedding-3-small", "input": "x"},
        under(9),
    )
    assert reply.status == 200, reply.body
    entry, tried = collector.of(trace_of(9), 2)
    assert entry.said["gen_ai.operation.name"] == "embeddings"
    assert tried.name == "embeddings text-embedding-3-small"


def test_what_the_caller_does_not_sample_is_not_recorded(house, collector):
    assert house.chat(headers=under(10, "00")).status == 200
    assert house.chat(headers=under(11)).status == 200
    collector.of(trace_of(11), 2)
    time.sleep(0.3)
    assert [span for span in collector.spans if span.trace_id == trace_of(10)] == []


@pytest.mark.parametrize(
    "header",
    [
        "00-" + "0" * 32 + f"-{PARENT}-01",
        f"00-{trace_of(12)}-" + "0" * 16 + "-01",
        f"00-{trace_of(12).upper()}X-{PARENT}-01",
        f"ff-{trace_of(12)}-{PARENT}-01",
        f"00-{trace_of(12)}-{PARENT}-01-more",
        "nonsense",
    ],
)
def test_a_header_of_another_form_begins_a_new_trace(house, header):
    reply = house.chat(headers={"traceparent": header})
    assert reply.status == 200
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-trace-id"])
    assert reply.headers["x-trace-id"] not in header


def test_a_version_to_come_is_read_as_far_as_it_is_known(house):
    reply = house.chat(headers={"traceparent": f"01-{trace_of(13)}-{PARENT}-01-what-ever"})
    assert reply.headers["x-trace-id"] == trace_of(13)


def test_a_recorded_answer_is_told_once_with_its_tries(house, collector):
    first = house.chat(headers={**under(14), "idempotency-key": "t-14"})
    assert first.status == 200
    entry, tried = collector.of(trace_of(14), 2)
    assert tried.parent_id == entry.span_id
    again = house.chat(headers={**under(15), "idempotency-key": "t-14"})
    assert again.body == first.body
    (only,) = collector.of(trace_of(15), 1)
    assert only.said["dragoman.replay_of"] == first.headers["x-dragoman-call-id"]


def test_metrics_tell_what_waits_and_what_was_sent(house, collector):
    trace = house.chat().headers["x-trace-id"]
    collector.of(trace, 2)
    text = house.ask("GET", "/metrics", key=None).body.decode()
    assert re.search(r"^dragoman_trace_spans_total\{outcome=\"sent\"\} [1-9]", text, re.MULTILINE)
    assert 'dragoman_trace_spans_total{outcome="dropped"} 0.0' in text
    assert re.search(r'^dragoman_queue_depth\{queue="traces"\} \d', text, re.MULTILINE)


# --------------------------------------------------------------------------- other ways to go


def test_over_grpc_by_the_port_or_by_the_protocol(provider, tmp_path):
    with collecting_grpc() as there:
        environment = {
            **providers_at(provider.port),
            **SOON,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{there.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_HEADERS": "X-Api-Token=secret-9",
        }
        with gateway_server(tmp_path, **environment) as server:
            trace = server.chat().headers["x-trace-id"]
            entry, tried = there.of(trace, 2)
            assert tried.parent_id == entry.span_id
            assert there.headers[0]["x-api-token"] == "secret-9"
            assert "secret-9" not in server.log.read_text()


def test_the_last_spans_are_sent_before_the_process_ends(provider, collector, tmp_path):
    environment = {
        **providers_at(provider.port),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{collector.port}/elsewhere",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    with gateway_server(tmp_path, **environment) as server:
        trace = server.chat().headers["x-trace-id"]
        time.sleep(0.2)
        assert not [span for span in collector.spans if span.trace_id == trace]
        assert server.stop() == 0
    collector.of(trace, 2, seconds=1)
    assert collector.paths[-1] == "/elsewhere"
    assert collector.headers[-1]["content-encoding"] == "gzip"


def test_a_receiver_that_is_busy_is_asked_again_and_one_that_is_gone_holds_up_nobody(
    provider, tmp_path
):
    with collecting() as there:
        environment = {
            **providers_at(provider.port),
            **SOON,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{there.port}",
        }
        there.answers = [(503, {"retry-after": "0"}), (429, {"retry-after": "0"})]
        with gateway_server(tmp_path, **environment) as server:
            trace = server.chat().headers["x-trace-id"]
            there.of(trace, 2)
            assert there.refused == 2
            there.answers = [(400, {})]
            server.chat()
            until(lambda: "traces cannot be exported: status 400" in server.log.read_text())
            trace = server.chat().headers["x-trace-id"]
            there.of(trace, 2)
            until(lambda: "traces are exported again" in server.log.read_text())


def test_what_a_receiver_rejects_of_a_batch_is_counted(provider, tmp_path):
    with collecting() as there:
        there.rejects = 1
        environment = {
            **providers_at(provider.port),
            **SOON,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{there.port}",
        }
        with gateway_server(tmp_path, **environment) as server:
            there.of(server.chat().headers["x-trace-id"], 2)
            until(lambda: "spans were rejected" in server.log.read_text())
            text = server.ask("GET", "/metrics", key=None).body.decode()
            assert 'dragoman_trace_spans_total{outcome="dropped"} 1.0' in text


def test_nobody_at_the_endpoint_costs_no_answer_and_no_end(provider, tmp_path):
    from servers import free_port

    environment = {
        **providers_at(provider.port),
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:hidden@127.0.0.1:{free_port()}",
        "OTEL_BSP_MAX_QUEUE_SIZE": "16",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
    }
    with gateway_server(tmp_path, **environment) as server:
        for _ in range(40):
            assert server.chat().status == 200
        until(lambda: "traces cannot be exported" in server.log.read_text())
        text = server.ask("GET", "/metrics", key=None).body.decode()
        dropped = re.search(r'dragoman_trace_spans_total\{outcome="dropped"\} (\S+)', text)
        assert float(dropped[1]) > 0
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
        assert "hidden" not in server.log.read_text()


@pytest.mark.req("R-ENV-011", "R-OBS-003")
def test_the_console_gets_lines_of_json(provider, tmp_path):
    environment = {**providers_at(provider.port), **SOON, "OTEL_CONSOLE_EXPORT": "true"}
    with gateway_server(tmp_path, **environment) as server:
        trace = server.chat(headers=HEADERS).headers["x-trace-id"]
        until(lambda: server.said.count(trace) >= 2)
        lines = [json.loads(line) for line in server.said.splitlines() if trace in line]
    entry, tried = lines
    assert entry["name"] == "POST /v1/chat/completions"
    assert entry["parent_id"] == PARENT
    assert tried["attributes"]["gen_ai.usage.input_tokens"] > 0
    assert tried["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert tried["end_ns"] >= tried["start_ns"] > 10**18


@pytest.mark.req("R-OBS-003", "R-ENV-011")
@pytest.mark.parametrize("endpoint", [False, True])
def test_without_an_endpoint_nothing_of_it_is_there(provider, collector, tmp_path, endpoint):
    """Python tells which modules it loads; with an endpoint those are among them."""
    environment = {**providers_at(provider.port), "PYTHONPROFILEIMPORTTIME": "1"}
    if endpoint:
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.port}"
    with gateway_server(tmp_path, anew=True, **environment) as server:
        assert server.chat(headers=HEADERS).headers["x-trace-id"] == TRACE
        text = server.ask("GET", "/metrics").body.decode()
        assert ("dragoman_trace_spans_total" in text) is endpoint
        loaded = server.log.read_text() + server.said
    assert "dragoman.app" in loaded
    for module in ("tracer", "exporter", "sending"):
        assert (f"dragoman.telemetry.{module}\n" in loaded) is endpoint


def test_a_share_of_the_traces_by_their_ids(provider, collector, tmp_path):
    environment = {
        **providers_at(provider.port),
        **SOON,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
    }
    low, high = f"{'1' * 16}{'7' * 16}", f"{'1' * 16}{'8' * 16}"
    with gateway_server(tmp_path, **environment) as server:
        for trace in (high, low):
            server.chat(headers={"traceparent": f"00-{trace}-{PARENT}-00"})
        collector.of(low, 2)
    assert not [span for span in collector.spans if span.trace_id == high]
