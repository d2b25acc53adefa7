"""What a process writes to its log, as operators read it: levels, forms, places, and nothing secret."""

import json
import re
import socket
import threading

import pytest

import forge
from servers import gateway_server, mock_server, providers_at, until

SECRET = "sk-canaryLOGS0123456789abcdef0123456789"
PROMPT = "canary-prompt-in-logs-51c7"


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("logged")) as server:
        yield server


def environment(provider, **more):
    return {**providers_at(provider.port), "OPENAI_API_KEY": SECRET, **more}


def lines_of(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]


@pytest.mark.req("R-OBS-004", "R-OBS-005", "R-OBS-010")
def test_every_request_has_a_line_with_its_ids_time_latency_and_usage(provider, tmp_path):
    with gateway_server(tmp_path, **environment(provider)) as server:
        reply = server.chat(headers={"x-request-id": "mine-1"})
        usage = reply.json()["usage"]
        server.chat(stream=True, headers={"x-request-id": "mine-2"})
        server.chat("nothing-like-it", headers={"x-request-id": "mine-3"})
        own = server.chat().headers["x-request-id"]
        found = until(
            lambda: (
                lines
                if len(lines := [x for x in lines_of(server.log.read_text()) if "route" in x]) == 4
                else None
            )
        )
    named = {line["request_id"]: line for line in found}
    assert re.fullmatch("req_[0-9a-f]{32}", own)
    assert own in named
    line = named["mine-1"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert (line["level"], line["logger"], line["message"]) == ("info", "dragoman", "request")
    assert (line["provider"], line["model"]) == ("openai", "gpt-4o-mini")
    assert line["trace_id"] == reply.headers["x-trace-id"]
    assert line["duration_ms"] > 0
    assert line["tokens"] == {
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
    }
    assert (named["mine-2"]["stream"], named["mine-2"]["status"]) == (True, 200)
    assert (named["mine-3"]["status"], named["mine-3"]["error"]) == (404, "model_not_found")


@pytest.mark.req("R-OBS-005", "R-OBS-006")
@pytest.mark.parametrize("level", ["WARN", "Error", "CRITICAL", "silent"])
def test_a_higher_level_leaves_requests_out(provider, tmp_path, level):
    with gateway_server(tmp_path, **environment(provider, LOG_LEVEL=level)) as server:
        assert server.chat().status == 200
        server.stop()
        assert "mine" not in server.log.read_text()
        assert '"message":"request"' not in server.log.read_text()


@pytest.mark.req("R-OBS-005", "R-OBS-006")
def test_text_for_people_and_pages_for_who_looks_closely(provider, tmp_path):
    more = environment(provider, LOG_LEVEL="DEBUG", LOG_FORMAT="TEXT")
    with gateway_server(tmp_path, **more) as server:
        name = server.chat().headers["x-request-id"]
        server.ask("GET", "/v1/models")
        server.stop()
        lines = server.log.read_text().splitlines()
    (line,) = [line for line in lines if name in line]
    assert re.search(r"info +200 /v1/chat/completions openai/gpt-4o-mini \d+ms", line)
    assert [line for line in lines if "debug" in line and "GET /v1/models" in line]


@pytest.mark.req("R-OBS-007", "R-OBS-008")
@pytest.mark.parametrize("shown", [False, True])
def test_payloads_are_told_where_that_is_switched_on_and_keys_never(provider, tmp_path, shown):
    more = environment(provider, LOG_SENSITIVE_PAYLOADS=str(shown).lower(), LOG_LEVEL="debug")
    with gateway_server(tmp_path, **more) as server:
        path = "/v1/chat/completions?beta=yes&key=drg_queryCANARY0123456789&api_key=plainCANARY77"
        body = {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": PROMPT}],
            "api_key": "nested-canary-31",
        }
        server.ask("POST", path, body, key=None)
        server.ask("POST", "/v1/chat/completions", {**body, "model": f"no-{PROMPT}"})
        server.stop()
        text = server.log.read_text()
        errors = (tmp_path / "home" / "logs" / "api-error.jsonl").read_text()
    for secret in (SECRET, "drg_queryCANARY", "plainCANARY77", "nested-canary-31", "drg_test"):
        assert secret not in text + errors
    lines = [line for line in lines_of(text) if line["message"] == "request"]
    if not shown:
        # A caller's own name for a model is no payload; what it says in messages is.
        assert not [line for line in lines if {"url", "body", "detail"} & line.keys()]
        assert PROMPT not in text
        return
    first, second = lines
    assert first["url"].startswith("/v1/chat/completions?beta=yes&key=[redacted]")
    assert PROMPT in first["body"]
    assert "api_key" in first["body"]
    assert PROMPT in second["detail"]
    assert PROMPT in lines_of(errors)[-1]["detail"]


@pytest.mark.req("R-OBS-009", "R-OBS-011", "R-ADD-022", "R-ENV-006")
def test_errors_stand_in_a_file_of_their_own_with_all_that_is_known(provider, tmp_path):
    with gateway_server(tmp_path, **environment(provider)) as server:
        reply = server.chat(
            "openai/gpt-4o-mini--mock-status-500",
            stream=True,
            routing={"max_attempts": 1},
            headers={"x-request-id": "failed-1"},
        )
        assert reply.status == 500
        file = tmp_path / "home" / "logs" / "api-error.jsonl"
        (line,) = lines_of(until(lambda: file.read_text() if file.exists() else ""))
    assert line["request_id"] == "failed-1"
    assert line["trace_id"] == reply.headers["x-trace-id"]
    assert line["call_id"] == reply.headers["x-dragoman-call-id"]
    assert (line["status"], line["route"]) == (500, "/v1/chat/completions")
    assert (line["method"], line["origin"]) == ("POST", "127.0.0.1")
    assert (line["tenant"], line["dialect"], line["stream"]) == ("local", "chat", True)
    assert line["requested_model"].startswith("openai/gpt-4o-mini")
    (tried,) = line["attempts"]
    assert (tried["provider"], tried["upstream_status"]) == ("openai", 500)
    assert tried["error"]


# --------------------------------------------------------------------------- places (R-OBS-012)


@pytest.mark.req("R-OBS-012")
def test_lines_go_to_a_file_of_the_operators(provider, tmp_path):
    place = tmp_path / "var" / "dragoman.log"
    with gateway_server(tmp_path, **environment(provider, LOG_TO=str(place))) as server:
        name = server.chat().headers["x-request-id"]
        until(lambda: name in place.read_text())
        assert name not in server.log.read_text()
    assert all(line["logger"] == "dragoman" for line in lines_of(place.read_text()))
    assert place.stat().st_mode & 0o077 == 0


@pytest.mark.req("D9")
def test_a_disk_that_is_full_takes_lines_and_no_answers(provider, tmp_path):
    with gateway_server(tmp_path, **environment(provider, LOG_TO="/dev/full")) as server:
        assert {server.chat().status for _ in range(20)} == {200}

        def lost():
            page = server.ask("GET", "/metrics", key=None).body.decode()
            return re.search(r'dragoman_queue_lost_total{queue="log"} (\S+)', page)

        until(lambda: float(lost()[1]) >= 20)
        assert server.ask("GET", "/ready", key=None).status == 200
        assert len(server.rows()) == 20


@pytest.mark.req("R-OBS-012")
def test_lines_go_to_a_function_of_the_operators_and_one_that_fails_stops_nothing(
    provider, tmp_path
):
    (tmp_path / "our_logging.py").write_text(
        "def take(line):\n"
        f"    open({str(tmp_path / 'taken')!r}, 'a').write(line + '\\n')\n"
        "def fail(line):\n    raise RuntimeError('no')\n"
    )
    for function in ("take", "fail"):
        more = environment(provider, LOG_TO=f"our_logging:{function}", PYTHONPATH=str(tmp_path))
        with gateway_server(tmp_path, **more) as server:
            name = server.chat().headers["x-request-id"]
            if function == "take":
                until(lambda name=name: name in (tmp_path / "taken").read_text())
            else:
                text = until(
                    lambda: (
                        page
                        if 'lost_total{queue="log"} 0.0'
                        not in (page := server.ask("GET", "/metrics").body.decode())
                        else None
                    )
                )
                assert 'dragoman_queue_lost_total{queue="log"}' in text


@pytest.mark.req("R-OBS-012")
def test_lines_go_to_the_systems_log(tmp_path, monkeypatch):
    from dragoman.telemetry import sink
    from dragoman.telemetry.log import Log

    address = str(tmp_path / "log")
    there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    there.bind(address)
    there.settimeout(5)
    monkeypatch.setattr(sink, "SYSLOG", (address,))
    log = Log("info", "json", sink.sink_of("syslog"))
    log.outlet.start()
    log.event("info", "hello", password="hidden")
    log.event("warn", "again")
    got = [there.recv(9000), there.recv(9000)]
    log.close()
    there.close()
    assert [each[:14] for each in got] == [b"<14>dragoman: "] * 2
    assert json.loads(got[0][14:])["password"] == "[redacted]"
    assert threading.active_count() < 50


@pytest.mark.parametrize("place", ["no_such_module_x:take", "os.path:nothing", "/dev/null/x/y"])
def test_a_place_that_is_none_is_said_at_the_start(provider, tmp_path, place):
    done = forge.run(
        ["serve", "--local", "--port", "0"],
        env={"DRAGOMAN_HOME": str(tmp_path / "home"), "LOG_TO": place, "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "LOG_TO names no place" in done.stdout + done.stderr


@pytest.mark.req("R-OBS-007", "R-SEC-004")
@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://user:p4ss-w0rd@db/x", "p4ss-w0rd"),
        ('{"api_key": "abcd-1234"}', "abcd-1234"),
        ("password=hunter2 next", "hunter2"),
        ("Authorization: Basic dXNlcjpwYXNz", "Basic"),
        ("refresh_token='1//0abc'", "1//0abc"),
        ("Bearer abcdefgh12345", "abcdefgh12345"),
        ("key sk-ant-api03-abcdefghijkl", "sk-ant-api03-abcdefghijkl"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_wherever_it_stands(text, hidden):
    from dragoman.telemetry.redact import redact, redact_member

    assert hidden not in redact(text)
    deep = redact_member("context", {"list": [text], "inner": {"password": "zzz"}, "n": 3})
    assert hidden not in str(deep)
    assert "zzz" not in str(deep)
    assert deep["n"] == 3
