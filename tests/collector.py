"""An OTLP collector of the tests: takes what the gateway's process sends, and reads it with protobuf's own classes.

The classes are the project's that defines the format, so the collector can disagree with our encoder.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from servers import until


def plain(value: Any) -> Any:
    """An ``AnyValue`` as Python's."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind)


@dataclass
class Span:
    """One span, as it was received."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    state: str
    flags: int
    failed: bool
    said: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What came, in order; ``answers`` are the statuses of the next requests, 200 once they are used up."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    refused: int = 0
    rejects: int = 0
    """So many spans of each batch are not taken, it says."""

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            whose = {each.key: plain(each.value) for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                assert scope.scope.name == "dragoman"
                self.spans += [_span(each, whose) for each in scope.spans]

    def of(self, trace_id: str, number: int, seconds: float = 10) -> list[Span]:
        """The spans of a trace once so many are there, in the order of their beginnings."""

        def found() -> list[Span] | None:
            these = [span for span in self.spans if span.trace_id == trace_id]
            return these if len(these) >= number else None

        return sorted(until(found, seconds), key=lambda span: (span.start, span.kind))


def _span(each: Any, whose: dict[str, Any]) -> Span:
    assert len(each.trace_id) == 16
    assert len(each.span_id) == 8
    return Span(
        each.name,
        each.kind,
        each.trace_id.hex(),
        each.span_id.hex(),
        each.parent_span_id.hex(),
        each.start_time_unix_nano,
        each.end_time_unix_nano,
        each.trace_state,
        each.flags,
        each.status.code == 2,
        {one.key: plain(one.value) for one in each.attributes},
        whose,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that speaks HTTP."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            status, more = collector.answers.pop(0) if collector.answers else (200, {})
            collector.paths.append(self.path)
            collector.headers.append({k.lower(): v for k, v in self.headers.items()})
            if status == 200:
                packed = self.headers.get("content-encoding") == "gzip"
                collector.take(gzip.decompress(body) if packed else body)
            else:
                collector.refused += 1
            told = ExportTraceServiceResponse()
            if collector.rejects:
                told.partial_success.rejected_spans = collector.rejects
            reply = told.SerializeToString()
            self.send_response(status)
            for name, value in {"content-length": str(len(reply)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def collecting_grpc() -> Iterator[Collector]:
    """A collector that speaks gRPC."""
    import grpc

    collector = Collector()

    def export(request: bytes, context: Any) -> bytes:
        collector.headers.append(dict(context.invocation_metadata()))
        collector.take(request)
        told = ExportTraceServiceResponse()
        if collector.rejects:
            told.partial_success.rejected_spans = collector.rejects
        return told.SerializeToString()

    service = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        {"Export": grpc.unary_unary_rpc_method_handler(export)},
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((service,))
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
