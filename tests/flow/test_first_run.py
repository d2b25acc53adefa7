"""What a stranger meets: a gateway with nothing configured."""

import json
import re
import socket
import subprocess
import sys
import time

import pytest

from servers import beside, gateway_server


@pytest.mark.req("R-ADD-036", "R-STRM-001", "R-STRM-002")
def test_the_stub_streams_with_a_role_several_pieces_and_an_end(lonely):
    reply = lonely.chat(stream=True, stream_options={"include_usage": True})
    frames = reply.body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    deltas = [choice for chunk in chunks for choice in chunk["choices"]]
    assert deltas[0]["delta"]["role"] == "assistant"
    assert sum(bool(choice["delta"].get("content")) for choice in deltas) >= 2
    assert [choice["finish_reason"] for choice in deltas] == [None] * (len(deltas) - 1) + ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_a_report_does_not_pass_over_what_nobody_knows_the_cost_of(lonely):
    assert lonely.chat().status == 200
    foot = beside(lonely, "report", "--base-url", lonely.url).splitlines()[-1]
    # Others ask the same gateway, some for what is free.
    unknown = re.search(r" USD in all, cost of (\d+) unknown; ", foot)
    assert unknown is not None, foot
    assert 0 < int(unknown[1]) <= int(foot.partition(" ")[0])


def test_the_stubs_embeddings_depend_on_the_text_alone(lonely):
    def vectors(**members):
        body = {"model": "openai/text-embedding-3-small", "dimensions": 4, **members}
        reply = lonely.ask("POST", "/v1/embeddings", body)
        assert reply.status == 200, reply.body
        return [row["embedding"] for row in reply.json()["data"]]

    assert vectors(input="a") == vectors(input=["a"])
    assert len(vectors(input=["a", "b"])) == 2
    assert vectors(input="a") != vectors(input="b")
    assert isinstance(vectors(input="a", encoding_format="base64")[0], str)


@pytest.mark.req("R-SURF-015", "R-SURF-016", "R-SURF-018", "R-CAT-006")
def test_what_is_listed_can_be_asked_for_under_all_its_paths(lonely):
    first = lonely.ask("GET", "/v1/models").json()
    assert first["object"] == "list"
    for path in ("/v1/chat/completions/models", "/v1/chat/completion/models"):
        assert lonely.ask("GET", path).json() == first
    ids = [row["id"] for row in first["data"]]
    assert ids == ["openai/gpt-4o-mini", "openai/text-embedding-3-small", "auto"]
    for row in first["data"]:
        assert {"id", "object", "created", "owned_by", "name", "providers"} <= set(row)
        assert row["owned_by"] == ("dragoman" if row["id"] == "auto" else "openai")
    for spelled in ("openai/gpt-4o-mini", "openai%2Fgpt-4o-mini"):
        assert lonely.ask("GET", f"/v1/models/{spelled}").json()["id"] == "openai/gpt-4o-mini"
    unknown = lonely.ask("GET", "/v1/models/gpt-4-mini")
    assert unknown.status == 404
    assert "nearest: openai/gpt-4o-mini" in unknown.json()["error"]["message"]
    assert lonely.chat(model=ids[0]).status == 200


@pytest.mark.req("R-SURF-015")
def test_anthropic_clients_get_models_in_their_own_shape(lonely):
    version = {"anthropic-version": "2023-06-01"}
    page = lonely.ask("GET", "/v1/models", headers=version).json()
    assert page["has_more"] is False
    assert page["data"][0]["type"] == "model"
    assert page["first_id"] == page["data"][0]["id"]
    one = lonely.ask("GET", "/v1/models/openai/gpt-4o-mini", headers=version).json()
    assert one["display_name"]


@pytest.mark.req("R-SURF-030", "R-SURF-031", "R-SURF-032", "R-SURF-033", "R-ADD-031")
def test_probes_metrics_and_the_description_need_no_key(lonely):
    health = lonely.ask("GET", "/health", key=None).json()
    assert health["status"] == "healthy"
    assert health["mode"] == "local"
    assert health["version"]
    ready = lonely.ask("GET", "/ready", key=None).json()
    assert (ready["status"], ready["providers"]) == ("ready", {"stub": "healthy"})
    lonely.chat()
    metrics = lonely.ask("GET", "/metrics", key=None)
    assert metrics.headers["content-type"].startswith("text/plain")
    for name in (
        "dragoman_requests_total",
        "dragoman_request_duration_seconds_bucket",
        "dragoman_time_to_first_token_seconds_bucket",
        "dragoman_tokens_total",
        "dragoman_cost_usd_total",
        "dragoman_active_requests",
        "dragoman_circuit_breaker_state",
    ):
        assert name.encode() in metrics.body, name
    document = lonely.ask("GET", "/openapi.json", key=None).json()
    assert document == lonely.ask("GET", "/api/openapi.json", key=None).json()
    assert "/v1/models/{id}" in document["paths"]
    head = lonely.ask("HEAD", "/health", key=None)
    assert (head.status, head.body) == (200, b"")


def test_a_model_of_the_stub_that_does_not_exist_is_not_answered(lonely):
    reply = lonely.chat(model="stub/nope")
    assert reply.status == 404
    assert reply.json()["error"]["code"] == "model_not_found"


def test_a_bare_id_without_its_providers_key_names_the_variable(lonely):
    body = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "?"}],
    }
    for path in ("/v1/messages", "/v3/messages", "/v1/chat/completions"):
        reply = lonely.ask("POST", path, body)
        assert reply.status == 404
        assert "(set ANTHROPIC_API_KEY)" in reply.json()["error"]["message"], path


@pytest.mark.parametrize("base", ["/v1beta", "/v1", "/v2", "/v2/v1beta"])
def test_an_action_of_a_model_that_there_is_not_is_404_in_googles_shape(lonely, base):
    reply = lonely.ask("POST", f"{base}/models/openai/gpt-4o-mini:fooBar", {})
    error = reply.json()["error"]
    assert (reply.status, error["code"], error["status"]) == (404, 404, "NOT_FOUND")
    assert "'fooBar'" in error["message"]
    assert "generateContent" in error["message"]
    assert "allow" not in reply.headers


def test_an_action_of_routes_that_are_off_is_no_path_and_other_ids_keep_their_dialect(tmp_path):
    with gateway_server(tmp_path, ENABLE_GEMINI_ROUTES="false") as server:
        reply = server.ask("POST", "/v1beta/models/openai/gpt-4o-mini:generateContent", {})
        assert reply.status == 404
        assert "There is nothing at" in reply.json()["error"]["message"]
        strange = server.ask("GET", "/v1/models/a:b", headers={"host": "evil.example"})
        assert (strange.status, strange.json()["error"]["code"]) == (421, "host_not_allowed")


def test_who_shows_no_key_is_told_every_way_to_show_one(lonely):
    reply = lonely.ask("GET", "/v1/models", key=None)
    assert reply.status == 401
    told = reply.json()["error"]["message"]
    path = "/v1/models?key=drg_test"
    assert "'?key=<key>'" in told
    assert lonely.ask("GET", path, key=None).status == 200
    for header in ("x-api-key", "api-key", "x-goog-api-key"):
        assert f"'{header}'" in told
        assert (
            lonely.ask("GET", "/v1/models", headers={header: "drg_test"}, key=None).status == 200
        )


def test_the_admin_key_is_printed_at_the_first_start_and_never_logged(lonely):
    lines = lonely.said.splitlines()
    shown = [line for line in lines if line.startswith("Admin key, shown this once: drg_")]
    assert len(shown) == 1
    secret = shown[0].rsplit(" ", 1)[1]
    assert sum(secret in line for line in lines) == 1
    assert secret not in lonely.log.read_text()
    assert lonely.ask("GET", "/v1/usage", key=secret).status == 200


def test_a_start_says_on_stdout_that_it_is_ready_and_where(lonely):
    shown = lonely.said.splitlines()
    at = shown.index(f"✅ Server ready: {lonely.url}")
    assert shown[at + 1] == "   mode: local, 1 worker"
    assert "the built-in stub" in shown[at + 2]
    assert shown[at + 3] == f"   state: {lonely.environment['DRAGOMAN_HOME']}"


def test_several_workers_say_once_that_they_are_ready(tmp_path):
    with gateway_server(tmp_path, "--workers", "2") as server:
        time.sleep(1)
        text = server.said
    assert text.count("✅ Server ready:") == 1
    assert "mode: local, 2 workers" in text


def test_a_taken_port_ends_the_start_before_the_admin_key_is_made(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "dragoman", "serve", "--local", "--port", str(port)],
            env={"DRAGOMAN_HOME": str(tmp_path / "home")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"Port {port} is taken: choose another with --port N.\n"
    assert not (tmp_path / "home").exists()
