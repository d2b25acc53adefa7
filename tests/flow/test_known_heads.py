"""One connection, and heads that are sent again: what was refused once is refused each time, and counts for nobody else."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from servers import gateway_server

OURS = ("authorization", "Bearer drg_ours")
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("g")) as gateway:
        yield gateway


def asker(connection):
    """Asks something over the connection; the status, and the error's code."""

    def ask(text, *headers, path=PATH):
        said = [{"role": "user", "content": text}]
        body = json.dumps({"model": "openai/gpt-4o-mini", "messages": said}).encode()
        connection.putrequest("POST", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        return reply.status, answer.get("error", {}).get("code")

    return ask


def test_each_request_of_a_connection_is_judged_by_its_own_head(gateway):
    parts = urlsplit(gateway.url)
    evil = ("origin", "https://evil.example")
    kinds = [
        ((OURS,), PATH, (200, None)),
        ((OURS, evil), PATH, (403, "origin_not_allowed")),
        ((), PATH, (401, "missing_api_key")),
        ((OURS, ("Authorization", "Bearer drg_b")), PATH, (400, "conflicting_credentials")),
        ((OURS, ("x-api-key", "drg_b")), PATH, (400, "conflicting_credentials")),
        ((OURS,), "/v1/nothing", (404, "not_found")),
        ((OURS, ("content-encoding", "gzip")), PATH, (415, "unsupported_media_type")),
    ]
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)) as connection:
        ask = asker(connection)
        for headers, path, told in kinds:
            for length in (1, 2, 2000, 5):
                assert ask("x" * length, *headers, path=path) == told
            assert ask("x", OURS) == (200, None)


def test_a_trace_and_a_label_are_each_requests_own(gateway):
    parts = urlsplit(gateway.url)
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)) as connection:
        ids = []
        for label in ("one", "one", "one", "two", "two", None, None, None):
            more = {} if label is None else {"x-request-id": label}
            body = json.dumps(
                {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]}
            )
            connection.request("POST", PATH, body, dict([OURS]) | more)
            reply = connection.getresponse()
            reply.read()
            assert label is None or reply.headers["x-request-id"] == label
            ids.append(reply.headers["x-dragoman-call-id"])
        assert len(set(ids)) == len(ids)
