"""A session over a scripted connection: what it waits for, what it ends, and how it closes."""

import asyncio
import json

import pytest

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.surface.socket_scope import LEAVE
from dragoman.surface.sockets.bounds import Bounds
from dragoman.surface.sockets.exchange import scope_of
from dragoman.surface.sockets.session import Session

CHAT = json.dumps(
    {"type": "chat.completions", "requestId": "a", "model": "m", "messages": [{"role": "user"}]}
)


BOUNDS = Bounds()


async def once(true):
    """Lets all others go on until it is true."""
    while not true():  # noqa: ASYNC110  nothing tells of it but the loop's turns
        await asyncio.sleep(0)


class Line:
    """A connection: what the caller says is put in, what it hears is found in ``heard``."""

    def __init__(self, answer=None, bounds=BOUNDS, *, broken=()):
        self.queue = asyncio.Queue()
        self.heard = []
        self.tasks = set()
        self.trusted = 0
        self.here = 0
        self.failures = []
        self.broken = broken
        self.most = bounds.of_a_key
        common = scope_of({"path": "/ws"}, {"host": "x", "x-request-id": "no", "cookie": "c"})
        self.session = Session(
            self.queue.get,
            self.send,
            self,
            self,
            answer or answered,
            common,
            lambda: "0-1",
            bounds,
        )

    async def send(self, message):
        if message["type"] in self.broken:
            raise OSError("gone")
        if message["type"] == "websocket.accept":
            return
        if message["type"] == "websocket.send":
            self.heard.append(json.loads(message["text"]))
        else:
            self.heard.append((message["code"], message["reason"]))
            self.queue.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def trust(self):
        self.trusted += 1

    def doubt(self):
        self.trusted -= 1

    async def check(self, key):
        if key != "good":
            raise CallerError("authentication", "no")
        return Caller("k", "t", tier="gold")

    def enter(self, caller):
        if self.here >= self.most:
            raise CallerError("rate_limit", "too many")
        self.here += 1

    def leave(self, caller):
        self.here -= 1

    def failed(self, error, request_id):
        self.failures.append((type(error), request_id))

    def say(self, *messages):
        for each in messages:
            text = each if isinstance(each, str) else json.dumps(each)
            self.queue.put_nowait({"type": "websocket.receive", "text": text})

    def hang_up(self):
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1005})

    @property
    def types(self):
        return [each["type"] if isinstance(each, dict) else each[0] for each in self.heard]


async def answered(scope, receive, send):
    """Answers as the handler of a chat completion does."""
    body = (await receive())["body"]
    assert scope["headers"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
    message = {"role": "assistant", "content": json.loads(body)["model"]}
    said = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


def run(line, patience=5):
    asyncio.run(asyncio.wait_for(line(), patience))


def test_who_says_no_key_in_time_is_let_go():
    async def go():
        line = Line(bounds=Bounds(auth_s=0))
        await line.session.run()
        assert line.types == ["error", 1008]
        assert line.heard[0]["code"] == "auth_required"

    run(go)


def test_who_says_nothing_any_more_is_let_go():
    async def go():
        line = Line(bounds=Bounds(idle_s=0.02))
        line.say({"type": "auth", "apiKey": "good"})
        await line.session.run()
        assert line.types == ["auth.ok", 1000]
        assert line.heard[0]["tier"] == "gold"
        assert (line.trusted, line.here) == (1, 0)

    run(go)


def test_who_has_no_valid_key_any_more_may_say_little_again():
    async def revoked(scope, receive, send):
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def go():
        line = Line(revoked)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: "error" in line.types and not line.tasks)
        assert line.trusted == 0
        line.say({"type": "auth", "apiKey": "good"})
        await once(lambda: line.trusted == 1)
        line.hang_up()
        await running

    run(go)


def test_bodies_that_nobody_has_taken_yet_are_bounded_together():
    async def go():
        let_in = asyncio.Event()

        async def waits(scope, receive, send):
            await let_in.wait()
            await answered(scope, receive, send)

        line = Line(waits, Bounds(waiting=100))
        large = json.dumps({**json.loads(CHAT), "more": "x" * 200})
        line.say({"type": "auth", "apiKey": "good"}, large, CHAT.replace('"a"', '"b"'))
        running = asyncio.create_task(line.session.run())
        await once(lambda: "error" in line.types)
        told = line.heard[-1]
        assert (told["code"], told["requestId"]) == ("rate_limited", "b")
        assert "100 bytes" in told["message"]
        let_in.set()
        await once(lambda: "chat.complete" in line.types)
        line.say(CHAT.replace('"a"', '"c"'), large.replace('"a"', '"d"'))
        await once(lambda: line.types.count("chat.complete") == 2)
        line.hang_up()
        await running
        ends = {each["requestId"]: each["type"] for each in line.heard[1:]}
        assert ends == {"a": "chat.complete", "b": "error", "c": "chat.complete", "d": "error"}

    run(go)


def test_who_waits_for_an_answer_is_not_idle():
    async def slowly(scope, receive, send):
        await asyncio.sleep(0.1)
        await answered(scope, receive, send)

    async def go():
        line = Line(slowly, Bounds(idle_s=0.02))
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        await line.session.run()
        assert line.types == ["auth.ok", "chat.start", "chat.complete", 1000]

    run(go)


def test_pings_of_a_stranger_do_not_give_it_more_time():
    async def go():
        line = Line(bounds=Bounds(auth_s=0.05))

        async def ping():
            while True:
                line.say({"type": "ping"})
                await asyncio.sleep(0.01)

        pinging = asyncio.create_task(ping())
        await line.session.run()
        pinging.cancel()
        assert line.types[-1] == 1008

    run(go)


def test_more_connections_of_a_key_than_it_may_have():
    async def go():
        line = Line(bounds=Bounds(of_a_key=0, tries=2))
        line.say({"type": "auth", "apiKey": "good"}, CHAT, {"type": "auth", "apiKey": "good"})
        await line.session.run()
        assert [each["code"] for each in line.heard[:3]] == [
            "rate_limited",
            "auth_required",
            "rate_limited",
        ]
        assert line.types[-1] == 1008
        assert line.here == 0

    run(go)


def test_a_caller_that_leaves_ends_what_it_has_begun():
    ended = []

    async def waits(scope, receive, send):
        await receive()
        ended.append((await receive())["type"])

    async def go():
        line = Line(waits)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: "chat.start" in line.types)
        line.hang_up()
        await running
        await asyncio.wait(line.tasks)
        assert ended == ["http.disconnect"]
        assert line.types == ["auth.ok", "chat.start"], "nobody is there to be told"

    run(go)


def test_an_answer_that_never_comes_is_told():
    async def nothing(scope, receive, send):
        await receive()

    async def go():
        line = Line(nothing)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: "error" in line.types)
        assert line.heard[-1]["code"] == "internal"
        line.hang_up()
        await running

    run(go)


def test_a_line_that_is_dead_already_ends_everything_and_is_nobodys_failure():
    async def go():
        line = Line(broken=("websocket.send", "websocket.close"))
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        line.hang_up()
        await line.session.run()
        assert line.tasks == set(), "nothing is begun for nobody"
        assert (line.heard, line.failures) == ([], [])

    run(go)


def test_who_leaves_before_the_handshake_is_answered_keeps_no_place():
    async def go():
        line = Line(broken=("websocket.accept",))
        line.session.take("good", await line.check("good"))
        assert line.here == 1
        with pytest.raises(OSError, match="gone"):
            await line.session.run()
        assert line.here == 0

    run(go)


def test_a_request_that_fails_by_our_fault_is_told_its_end_and_the_log():
    async def fails(scope, receive, send):
        await receive()
        raise ValueError("never told to a caller")

    async def go():
        line = Line(fails)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: "error" in line.types)
        line.hang_up()
        await running
        assert line.types == ["auth.ok", "chat.start", "error"]
        told = line.heard[-1]
        assert (told["code"], told["requestId"]) == ("internal", "a")
        assert "never told" not in told["message"]
        assert line.failures == [(ValueError, "a")]

    run(go)


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_nested_beyond_reading_is_passed_on_all_the_same(stream):
    async def deep(scope, receive, send):
        await receive()
        kind = b"text/event-stream" if stream else b"application/json"
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        said = f'{{"choices":[{{"delta":{{"content":"x","more":{DEEP}}}}}]}}'
        body = f"data: {said}\n\ndata: [DONE]\n\n" if stream else said
        await send({"type": "http.response.body", "body": body.encode()})

    async def go():
        line = Line(deep)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: "chat.complete" in line.types or "error" in line.types)
        line.hang_up()
        await running
        assert line.types[-1] == "chat.complete"
        assert DEEP in str(line.heard[-2:])
        assert line.failures == []

    run(go)


def test_a_server_that_leaves_closes_at_once_where_nothing_is_under_way():
    async def go():
        line = Line()
        line.queue.put_nowait({"type": LEAVE})
        await line.session.run()
        assert line.types == [1001]

    run(go)


def test_a_server_that_leaves_closes_behind_the_last_answer():
    async def go():
        wait = asyncio.Event()

        async def later(scope, receive, send):
            await wait.wait()
            await answered(scope, receive, send)

        line = Line(later)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        running = asyncio.create_task(line.session.run())
        await once(lambda: line.tasks)
        line.queue.put_nowait({"type": LEAVE})
        line.say(CHAT.replace('"a"', '"b"'))
        await once(lambda: "error" in line.types)
        wait.set()
        await running
        assert line.types == ["auth.ok", "error", "chat.start", "chat.complete", 1001]

    run(go)


@pytest.mark.parametrize("gone", [False, True])
def test_headers_of_the_handshake_that_are_no_messages_own_are_left(gone):
    seen = []

    async def looks(scope, receive, send):
        seen.append(dict(scope["headers"]))
        await answered(scope, receive, send)

    async def go():
        line = Line(looks)
        line.say({"type": "auth", "apiKey": "good"}, CHAT)
        line.hang_up()
        await line.session.run()
        await asyncio.wait(line.tasks)

    run(go)
    assert seen == [
        {
            b"host": b"x",
            b"cookie": b"c",
            b"authorization": b"Bearer good",
            b"x-request-id": b"a",
        }
    ]
