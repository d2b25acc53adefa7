"""What a WebSocket may not do, what it costs, and how it ends: by limits, keys, pages, callers that leave, servers."""

import json
import os
import signal
import socket
import struct
import time
from contextlib import closing

import pytest
from cryptography.fernet import Fernet
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from administrators import admin_key
from servers import KEY, beside, gateway_server, new_api_key, providers_at, until
from talking import CHAT, talking

SLOW = f"{CHAT}--mock-chunk-delay-60--mock-length-600"
TIERS = """
[tiers.two]
rpm = 2
[tiers.lonely]
concurrency = 1
"""


@pytest.fixture(scope="module")
def bounded(mock, tmp_path_factory):
    """A gateway with tiers, a small bound for bodies, and one page that may call."""
    folder = tmp_path_factory.mktemp("bounded")
    (folder / "dragoman.toml").write_text(TIERS)
    environment = {
        **providers_at(mock.port),
        "DRAGOMAN_CONFIG": str(folder / "dragoman.toml"),
        "MAX_BODY_BYTES": "100000",
        "CORS_ALLOW_ORIGINS": "https://app.example.com",
        "MAX_RETRIES": "0",
    }
    with gateway_server(folder, **environment) as server:
        yield server


def id_of(server, key):
    return server.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]


def key_of(server, *arguments):
    return new_api_key(server, "--name", "somebody", *arguments)


@pytest.mark.req("R-WS-008", "R-TIER-011", "R-TIER-003")
@pytest.mark.parametrize("last", ["rest", "ws"])
def test_messages_and_requests_count_against_one_limit(bounded, last):
    key = key_of(bounded, "--tier", "two")
    with talking(bounded, key) as talk:
        assert bounded.chat(key=key).status == 200
        assert talk.answer("first")[-1]["type"] == "chat.complete"
        if last == "rest":
            assert bounded.chat(key=key).status == 429
        refused = talk.answer("second")
        assert len(refused) == 1, "what is not let in has not started"
        assert refused[0]["code"] == "rate_limited"
        assert refused[0]["message"] == "Rate limit exceeded"
        assert 0 < refused[0]["retryAfter"] <= 61
        assert refused[0]["status"] == 429
        assert talk.told(type="ping") == {"type": "pong"}


@pytest.mark.req("R-WS-008")
def test_a_new_connection_does_not_bring_new_limits(bounded):
    key = key_of(bounded, "--tier", "two")
    codes = []
    for _ in range(3):
        with talking(bounded, key) as talk:
            codes.append(talk.answer("again")[-1]["type"])
    assert codes == ["chat.complete", "chat.complete", "error"]


def test_calls_under_way_are_counted_over_connections(bounded):
    key = key_of(bounded, "--tier", "lonely")
    with talking(bounded, key) as one, talking(bounded, key) as other:
        one.ask("slow", model=f"{CHAT}--mock-delay-600")
        assert one.hear()["type"] == "chat.start"
        assert other.answer("too-many")[-1]["code"] == "rate_limited"
        assert bounded.chat(key=key).status == 429
        assert one.hear()["type"] == "chat.complete"
        assert other.answer("now")[-1]["type"] == "chat.complete"


def test_a_used_up_budget_refuses_messages_too(bounded):
    key = key_of(bounded)
    beside(bounded, "budgets", "set", "poor", "--key", id_of(bounded, key), "--total", "0.0000001")
    with talking(bounded, key) as talk:
        refused = until(lambda: _refused(talk), 10)
        posted = bounded.chat(key=key, max_tokens=100)
    assert refused["status"] == posted.status == 429
    assert refused["error"]["code"] == posted.json()["error"]["code"] == "insufficient_quota"
    assert refused["code"] == "rate_limited"
    assert refused["message"] == refused["error"]["message"], "no wait helps: it says what would"


def _refused(talk):
    end = talk.answer("poor", max_tokens=100)[-1]
    return end if end["type"] == "error" else None


@pytest.mark.req("R-AUTH-008")
def test_a_key_that_is_revoked_opens_nothing_more_and_its_calls_end(bounded):
    key = key_of(bounded)
    mine = id_of(bounded, key)
    with talking(bounded, key) as talk:
        assert talk.answer("before")[-1]["type"] == "chat.complete"
        talk.ask("running", model=f"{SLOW}--mock-length-9000", stream=True)
        assert talk.hear()["type"] == "chat.start"
        path = f"/api/admin/api-keys/{mine}/revoke"
        assert bounded.ask("POST", path, {"now": True}, key=admin_key(bounded)).status == 200
        end = talk.rest("running")[-1]
        assert (end["type"], end["code"]) == ("error", "stream_error")
        after = talk.answer("after")
        assert (after[0]["code"], after[0]["status"]) == ("auth", 401)
        assert talk.answer("still")[0]["code"] == "auth_required"
        other = key_of(bounded)
        assert talk.told(type="auth", apiKey=other)["type"] == "auth.ok"
        assert talk.answer("with-another")[-1]["type"] == "chat.complete"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "evil.example.com", "Origin": "https://app.example.com"}, 421),
    ],
)
def test_a_foreign_page_opens_nothing_even_with_a_key(bounded, headers, status):
    given = {"Authorization": f"Bearer {KEY}", **headers}
    assert handshake(bounded, given).split()[1] == str(status).encode()


def head_of(server, headers):
    """A handshake with these headers."""
    lines = {
        "Host": f"localhost:{server.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET /ws HTTP/1.1\r\n{head}\r\n".encode()


def handshake(server, headers):
    """What is answered to it."""
    with closing(socket.create_connection(("127.0.0.1", server.port), 10)) as caller:
        caller.sendall(head_of(server, headers))
        return caller.recv(65536)


@pytest.mark.parametrize("origin", ["https://app.example.com", "http://localhost:5173", None])
def test_a_page_that_may_call_may_open_one(bounded, origin):
    headers = {"Origin": origin} if origin else {}
    assert handshake(bounded, headers).startswith(b"HTTP/1.1 101 ")


def test_in_production_a_foreign_page_opens_nothing_either(mock, tmp_path):
    environment = {
        **providers_at(mock.port),
        "MODE": "prod",
        "CORS_ALLOW_ORIGINS": "https://app.example.com",
        "DATABASE_URL": f"sqlite:///{tmp_path}/prod.db",
        "FERNET_KEY": Fernet.generate_key().decode(),
        "DEFAULT_ADMIN_USER_ID": "root",
        "DEFAULT_ADMIN_API_KEY": "drg_admin_0123456789",
    }
    with gateway_server(tmp_path, local=False, **environment) as server:
        assert handshake(server, {"Origin": "https://evil.example.com"}).split()[1] == b"403"
        assert handshake(server, {"Origin": "https://app.example.com"}).split()[1] == b"101"


@pytest.mark.parametrize("header", ["x-long: " + "x" * 9000, "\r\n".join(["x-a: b"] * 200)])
def test_a_handshake_that_the_library_does_not_take_is_answered(bounded, header):
    name, _, value = header.partition(": ")
    assert handshake(bounded, {name: value}).split()[1] == b"431"


def test_a_handshake_of_another_version_is_answered(bounded):
    assert handshake(bounded, {"Sec-WebSocket-Version": "8"}).split()[1] in {b"400", b"426"}


def test_a_message_beyond_the_bound_closes_the_connection_and_says_so(bounded):
    with talking(bounded) as talk:
        assert talk.answer("large", text="x" * 90_000)[-1]["type"] == "chat.complete"
        with pytest.raises(ConnectionClosed) as closed:
            talk.answer("larger", text="x" * 3_000_000)
        assert closed.value.rcvd.code == 1009


def test_a_stranger_may_say_little(bounded):
    with talking(bounded, key=None) as talk, pytest.raises(ConnectionClosed) as closed:
        talk.told(type="auth", apiKey="x" * 20_000)
    assert closed.value.rcvd.code == 1009


def test_nothing_is_compressed(bounded):
    with talking(bounded) as talk:
        assert talk.socket.protocol.extensions == []


def test_a_message_may_come_in_fragments_but_not_in_countless_ones(bounded):
    with talking(bounded) as talk:
        talk.socket.send(['{"ty', 'pe": "pi', 'ng"}'])
        assert talk.hear() == {"type": "pong"}
        with pytest.raises(ConnectionClosed) as closed:
            talk.socket.send([""] * 6000)
            talk.hear()
        assert closed.value.rcvd.code == 1008


def test_a_ping_of_the_protocol_is_answered(bounded):
    with talking(bounded) as talk:
        assert talk.socket.ping("are you there").wait(5)


@pytest.mark.parametrize("rudely", [False, True])
def test_a_caller_that_leaves_ends_its_calls_and_what_was_used_is_accounted(mock, bounded, rudely):
    name = f"gone-{rudely}"
    with talking(bounded) as talk:
        talk.ask(name, model=SLOW, stream=True)
        talk.ask(f"{name}-whole", model=f"{CHAT}--mock-delay-5000")
        while talk.hear()["type"] != "chat.delta":
            pass
        if rudely:
            raw = talk.socket.socket
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.shutdown(socket.SHUT_RDWR)
    row = until(lambda: _row(bounded, name), 5)
    assert row["status"] == "client_cut"
    assert row["attempts"] == 1
    assert until(lambda: _row(bounded, f"{name}-whole"), 5)["status"] == "client_cut"


def test_a_frame_that_is_none_cuts_the_calls_and_is_no_failure_of_ours(bounded):
    model = f"{CHAT}--mock-chunk-delay-1--mock-length-3000"
    names = [f"cut-{time}-{number}" for time in range(4) for number in range(20)]
    for begin in range(0, len(names), 20):
        with talking(bounded) as talk:
            for name in names[begin : begin + 20]:
                talk.ask(name, model=model, stream=True)
            begun = 0
            while begun < 20:
                begun += talk.hear()["type"] == "chat.start"
            for _ in range(30):
                talk.say(type="ping")
            talk.socket.socket.sendall(b"\x83\x80\x00\x00\x00\x00")  # no opcode that there is
            with pytest.raises(ConnectionClosed):
                while True:
                    talk.hear()
    rows = [until(lambda name=name: _row(bounded, name), 5) for name in names]
    assert {row["status"] for row in rows} == {"client_cut"}
    until(lambda: bounded.log.read_text().count('"request_id":"cut-') >= len(names), 10)
    log = bounded.log.read_text()
    told = [json.loads(line) for line in log.splitlines() if '"request_id":"cut-' in line]
    assert {line["message"] for line in told} == {"request"}
    assert "internal_error" not in {line.get("error") for line in told}
    assert "Traceback" not in log
    assert "never retrieved" not in log


def test_open_connections_are_counted_as_long_as_they_are_open(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        assert _open(server) == 0
        with talking(server), talking(server, key=None):
            assert _open(server) == 2
        assert until(lambda: _open(server) == 0, 5)


def _open(server):
    lines = server.ask("GET", "/metrics", key=None).body.decode().splitlines()
    (line,) = (each for each in lines if each.startswith("dragoman_websocket_connections "))
    return float(line.split()[1])


def _row(server, request_id):
    return next((row for row in server.rows() if row["request_id"] == request_id), None)


def test_calls_run_to_their_end_when_the_server_goes_and_no_new_one_begins(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        with talking(server) as busy, talking(server) as idle:
            busy.ask("running", model=f"{CHAT}--mock-chunk-delay-40--mock-length-150", stream=True)
            assert busy.hear()["type"] == "chat.start"
            server.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                idle.hear()
            assert closed.value.rcvd.code == 1001
            busy.ask("late")
            frames = []
            while not frames or frames[-1]["type"] != "chat.complete":
                frames.append(busy.hear())
            late = next(frame for frame in frames if frame["requestId"] == "late")
            assert (late["type"], late["code"]) == ("error", "internal")
            with pytest.raises(ConnectionClosed) as closed:
                busy.hear()
            assert closed.value.rcvd.code == 1001
        assert server.process.wait(20) == 0
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        assert server.row("running")["status"] == "complete"


def test_calls_beyond_the_drain_limit_are_told_so(mock, tmp_path):
    environment = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, **environment) as server, talking(server) as talk:
        talk.ask("long", model=f"{SLOW}--mock-length-9000", stream=True)
        talk.ask("silent", model=f"{CHAT}--mock-hang-on")
        assert talk.hear()["type"] == "chat.start"
        server.process.send_signal(signal.SIGTERM)
        ends = {}
        while len(ends) < 2:
            frame = talk.hear()
            if frame["type"] in {"error", "chat.complete"}:
                ends[frame["requestId"]] = frame
        assert {frame["type"] for frame in ends.values()} == {"error"}
        assert {frame["error"]["code"] for frame in ends.values()} == {"server_draining"}
        assert server.process.wait(20) == 0


def test_pings_whose_answers_nobody_reads_take_no_memory_and_others_are_served(bounded):
    before = resident(bounded.process.pid)
    with talking(bounded) as talk, flooding(bounded) as flood:
        sent = 0
        try:
            while sent < 20_000_000:
                sent += flood.send(Frame(Opcode.PING, b"x" * 120).serialize(mask=True) * 500)
        except TimeoutError:
            pytest.fail(
                f"it stopped reading after {sent} bytes, and would not hear that one leaves"
            )
        assert resident(bounded.process.pid) - before < 8_000_000
        assert talk.told(type="ping") == {"type": "pong"}


def flooding(server, headers=None):
    """A connection over a WebSocket that reads nothing."""
    caller = socket.create_connection(("127.0.0.1", server.port))
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.sendall(head_of(server, headers or {}))
    assert caller.recv(4096).startswith(b"HTTP/1.1 101 ")
    caller.settimeout(5)
    return closing(caller)


def resident(pid):
    """Bytes of memory that the process holds."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_library_comes_with_the_first_that_asks_for_it(mock, tmp_path):
    with gateway_server(tmp_path, anew=True, **providers_at(mock.port)) as server:
        assert server.chat().status == 200
        assert "websockets" not in mapped(server)
        with talking(server) as talk:
            assert talk.told(type="ping") == {"type": "pong"}


def mapped(server):
    with open(f"/proc/{server.process.pid}/maps", encoding="ascii") as file:  # noqa: PTH123
        return file.read()


@pytest.mark.gate
def test_who_never_says_a_key_is_let_go(bounded):
    began = time.monotonic()
    with talking(bounded, key=None) as talk:
        assert json.loads(talk.socket.recv(timeout=15))["code"] == "auth_required"
        with pytest.raises(ConnectionClosed) as closed:
            talk.hear()
        assert closed.value.rcvd.code == 1008
    assert 9 < time.monotonic() - began < 14


@pytest.mark.gate
def test_who_takes_nothing_of_a_stream_is_let_go_and_takes_no_memory(bounded):
    before = resident(bounded.process.pid)
    model = f"{CHAT}--mock-length-30000000--mock-words-500"
    messages = [{"role": "user", "content": "hi"}]
    said = {"type": "chat.completions", "requestId": "unread", "model": model}
    asked = json.dumps({**said, "messages": messages, "stream": True}).encode()
    with flooding(bounded, {"Authorization": f"Bearer {KEY}"}) as caller:
        caller.sendall(Frame(Opcode.TEXT, asked).serialize(mask=True))
        row = until(lambda: _row(bounded, "unread"), 60)
        assert row["status"] == "client_cut"
    assert resident(bounded.process.pid) - before < 30_000_000


def test_where_openai_routes_are_off_there_is_none(mock, tmp_path):
    environment = {**providers_at(mock.port), "ENABLE_OPENAI_ROUTES": "false"}
    with (
        gateway_server(tmp_path, **environment) as server,
        pytest.raises(InvalidStatus) as refused,
        talking(server),
    ):
        pass
    assert refused.value.response.status_code == 404
