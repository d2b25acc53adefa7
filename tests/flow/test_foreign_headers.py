"""Callers of other gateways keep their headers: the key, the label and the time that they say count here."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from servers import gateway_server

BODY = json.dumps(
    {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("g")) as gateway:
        yield gateway


def ask(gateway, *headers):
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.putrequest("POST", "/v1/chat/completions")
    for name, value in (("content-type", "application/json"), *headers):
        connection.putheader(name, value)
    connection.putheader("content-length", str(len(BODY)))
    connection.endheaders(BODY.encode())
    reply = connection.getresponse()
    found = reply.status, dict(reply.getheaders()), reply.read()
    connection.close()
    return found


def test_a_key_in_another_gateways_header_is_a_key(gateway):
    for name in ("x-portkey-api-key", "x-bf-vk", "x-litellm-api-key"):
        assert ask(gateway, (name, "drg_anything"))[0] == 200
    assert ask(gateway)[0] == 401
    assert ask(gateway, ("x-portkey-api-key", "not-ours"))[0] == 401


def test_beside_a_key_of_ours_it_counts_for_nothing(gateway):
    ours = ("authorization", "Bearer drg_ours")
    assert ask(gateway, ours, ("x-portkey-api-key", "PORTKEY"))[0] == 200
    theirs = ("authorization", "Bearer sk_")
    assert ask(gateway, theirs, ("x-portkey-api-key", "drg_anything"))[0] == 401


def test_a_trace_id_is_the_requests_label(gateway):
    key = ("authorization", "Bearer drg_ours")
    assert ask(gateway, key, ("x-portkey-trace-id", "run-7"))[1]["x-request-id"] == "run-7"
    both = (("x-portkey-trace-id", "run-7"), ("x-request-id", "mine"))
    assert ask(gateway, key, *both)[1]["x-request-id"] == "mine"


def test_two_different_keys_are_refused_whatever_else_is_said(gateway):
    # As many names are added as there are headers twice: they must not hide each other (A18).
    keys = (("x-api-key", "drg_one"), ("x-api-key", "drg_two"))
    for more in ((), (("x-litellm-timeout", "9"),), (("x-portkey-trace-id", "r"),)):
        status, _, body = ask(gateway, *keys, *more)
        assert status == 400
        assert json.loads(body)["error"]["code"] == "conflicting_credentials"


def test_headers_that_mean_nothing_here_are_ignored(gateway):
    said = [
        ("authorization", "Bearer drg_ours"),
        ("x-portkey-config", "pc-123"),
        ("x-portkey-provider", "anthropic"),
        ("x-litellm-session-id", "s"),
        ("x-ai-eg-model", "other"),
        ("x-litellm-timeout", "rubbish"),
    ]
    assert ask(gateway, *said)[0] == 200


def test_what_other_gateways_call_tags_and_metadata_finds_calls_in_reports(gateway):
    key = ("authorization", "Bearer drg_tagged")
    assert ask(gateway, key, ("x-litellm-tags", "nightly,team=search"))[0] == 200
    assert ask(gateway, key, ("x-portkey-metadata", '{"_user":"u1","app":"mail"}'))[0] == 200
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", "/v1/usage?group=tag", headers=dict([key]))
    rows = json.loads(connection.getresponse().read())["data"]
    connection.close()
    assert {row["tag"] for row in rows if row["requests"] == 1} == {
        "app=mail", "nightly", "team=search",
    }  # fmt: skip
