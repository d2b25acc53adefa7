"""No check is one that cannot fail: before a gateway that spoils one thing, its check fails."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from dragoman.conformance.checks import SURFACES, TITLES, barred, check
from dragoman.conformance.link import Link, Unreachable
from dragoman.conformance.parts import PIXEL
from dragoman.conformance.trials import STRANGE
from servers import KEY, free_port

MODELS = dict.fromkeys(SURFACES, "openai/gpt-4o-mini")
MODELS["embeddings"] = "openai/text-embedding-3-small"
NO_STATUS_OF_OURS = 418


class Spoiler:
    """A small server that passes everything on to a gateway, but for what a subclass spoils.

    ``request`` changes a body on its way, ``reply`` what comes back; a number refuses at once.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self.under_way = 0
        self.left = False

    def request(self, path, headers, body):
        return path, headers, body

    def reply(self, path, body, headers):
        return body

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.under_way += 1
            try:
                status, kind, body, found = await self._pass_on(method, path, headers, body)
            finally:
                self.under_way -= 1
            ids = "".join(f"x-request-id: {each}\r\n" for each in found)
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{ids}"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            )
            await self.write(path, writer, reader, body)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def write(self, path, writer, reader, body):
        writer.write(body)
        await writer.drain()

    async def _pass_on(self, method, path, headers, body):
        spoilt = self.request(path, headers, body)
        if isinstance(spoilt, int):
            return spoilt, "application/json", b"{}", []
        path, headers, body = spoilt
        kept = {
            name: value
            for name, value in headers.items()
            if name not in {"content-length", "host", "accept-encoding"}
        }
        async with httpx.AsyncClient(
            base_url=self.upstream, trust_env=False, verify=False
        ) as client:
            got = await client.request(method, path, headers=kept, content=body)
        told = self.reply(path, got.content, headers)
        kind = got.headers.get("content-type", "")
        return got.status_code, kind, told, self.ids(got.headers["x-request-id"])

    def ids(self, given):
        return [given]


def members(change):
    """A request whose JSON body is changed, where there is one."""

    def request(self, path, headers, body):
        try:
            found = json.loads(body)
        except ValueError:
            return path, headers, body
        change(found)
        return path, headers, json.dumps(found).encode()

    return request


def without(*names):
    """A request without members, wherever they stand."""

    def change(body):
        for name in names:
            body.pop(name, None)
            for inner in ("options", "generationConfig"):
                body.get(inner, {}).pop(name, None)
        if "max_tokens" in names:
            body["max_tokens"] = 999

    return members(change)


class SaysNothing(Spoiler):
    def reply(self, path, body, headers):
        return b'{"answer": "Hello!"}'


class BreaksOff(Spoiler):
    def reply(self, path, body, headers):
        return body[:-3]


class ForgetsTools(Spoiler):
    request = without("tools", "tool_choice", "toolConfig")


class ForgetsTheForm(Spoiler):
    request = without(
        "response_format", "output_config", "text", "format", "responseMimeType", "responseSchema"
    )


class RefusesSystemPrompts(Spoiler):
    def request(self, path, headers, body):
        return NO_STATUS_OF_OURS if b"You are brief." in body else (path, headers, body)


class ForgetsLimits(Spoiler):
    request = without(
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "maxOutputTokens",
        "num_predict",
    )


class ForgetsStops(Spoiler):
    request = without("stop", "stop_sequences", "stopSequences")


class RefusesImages(Spoiler):
    def request(self, path, headers, body):
        return NO_STATUS_OF_OURS if PIXEL.encode() in body else (path, headers, body)


class LetsEverybodyIn(Spoiler):
    def request(self, path, headers, body):
        return path, {**headers, "authorization": f"Bearer {KEY}", "x-api-key": KEY}, body

    async def _pass_on(self, method, path, headers, body):
        headers = {name: value for name, value in headers.items() if name != "x-goog-api-key"}
        return await super()._pass_on(method, path, headers, body)


class HasEveryModel(Spoiler):
    def request(self, path, headers, body):
        wrong, right = "no-such-model-anywhere", MODELS["chat"]
        return path.replace(wrong, right), headers, body.replace(wrong.encode(), right.encode())


class MendsJson(Spoiler):
    def request(self, path, headers, body):
        return NO_STATUS_OF_OURS if body == b'{"model": ' else (path, headers, body)


class FillsInTheModel(Spoiler):
    request = members(lambda body: body.setdefault("model", MODELS["chat"]))


class RefusesWrongTypesOddly(Spoiler):
    def request(self, path, headers, body):
        wrong = re.search(rb'"(messages|input|contents)": ?7', body)
        return NO_STATUS_OF_OURS if wrong else (path, headers, body)


class RefusesTheUnknown(Spoiler):
    def request(self, path, headers, body):
        return NO_STATUS_OF_OURS if STRANGE.encode() in body else (path, headers, body)


class DoesOneThingAtATime(Spoiler):
    """Takes its time, and refuses whoever comes meanwhile."""

    async def _pass_on(self, method, path, headers, body):
        if self.under_way > 1:
            return NO_STATUS_OF_OURS, "application/json", b"{}", []
        await asyncio.sleep(0.2)
        return await super()._pass_on(method, path, headers, body)


class NumbersNothing(Spoiler):
    def ids(self, given):
        return ["always-the-same"]


class FallsWithItsClient(Spoiler):
    """Once a client has left in the middle, nobody is answered any more."""

    def request(self, path, headers, body):
        return NO_STATUS_OF_OURS if self.left else (path, headers, body)

    async def write(self, path, writer, reader, body):
        writer.write(body[: len(body) // 2])
        await writer.drain()
        try:
            self.left = await asyncio.wait_for(reader.read(1), 0.25) == b""
        except TimeoutError:
            writer.write(body[len(body) // 2 :])
            await writer.drain()
        except ConnectionError:
            self.left = True


class ListsNothing(Spoiler):
    def reply(self, path, body, headers):
        return b'{"object": "list", "data": [], "models": []}'


class CountsNothing(Spoiler):
    def reply(self, path, body, headers):
        return b'{"input_tokens": 0, "totalTokens": 0}'


class TurnsVectorsRound(Spoiler):
    def reply(self, path, body, headers):
        found = json.loads(body)
        return json.dumps({**found, "data": found["data"][::-1]}).encode()


SPOILERS = {
    "whole reply": SaysNothing,
    "stream": BreaksOff,
    "tools": ForgetsTools,
    "tools, streamed": ForgetsTools,
    "structured output": ForgetsTheForm,
    "system prompt": RefusesSystemPrompts,
    "token limit": ForgetsLimits,
    "stop sequences": ForgetsStops,
    "image": RefusesImages,
    "bad key": LetsEverybodyIn,
    "unknown model": HasEveryModel,
    "malformed JSON": MendsJson,
    "missing model": FillsInTheModel,
    "wrong type": RefusesWrongTypesOddly,
    "unknown member": RefusesTheUnknown,
    "parallel requests": DoesOneThingAtATime,
    "request ids": NumbersNothing,
    "client that leaves": FallsWithItsClient,
    "models": ListsNothing,
    "count tokens": CountsNothing,
    "vectors": TurnsVectorsRound,
}


@pytest.fixture
def spoilt(lonely):
    """Serves a spoiler before the gateway that has the stub alone, in a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opened = []

    def serve(spoiler):
        async def open_it():
            return await asyncio.start_server(spoiler(lonely.url).serve, "127.0.0.1", 0)

        server = asyncio.run_coroutine_threadsafe(open_it(), loop).result(5)
        opened.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield serve
    for server in opened:
        loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def checked(url, name, *titles):
    return list(check(Link(url, KEY), (name,), MODELS, frozenset(titles)))


def test_every_check_has_something_that_makes_it_fail():
    assert set(SPOILERS) == TITLES


@pytest.mark.parametrize("name", SURFACES)
def test_each_check_fails_where_its_matter_is_spoilt_and_only_there(spoilt, name):
    straight = spoilt(Spoiler)
    for title, spoiler in SPOILERS.items():
        good = checked(straight, name, title)
        if not good or good[0].verdict == "not offered":
            continue
        assert [each.verdict for each in good] == ["pass"], good
        bad = checked(spoilt(spoiler), name, title)
        assert [each.verdict for each in bad] == ["fail"], bad
        assert bad[0].why.endswith(".")


class NamesNothing(Spoiler):
    def ids(self, given):
        return []


@pytest.mark.parametrize(("name", "verdict"), [("chat", "fail"), ("ollama", "not offered")])
def test_who_names_no_request_fails_where_the_dialects_own_servers_do(spoilt, name, verdict):
    [found] = checked(spoilt(NamesNothing), name, "request ids")
    assert found.verdict == verdict


class ReadsStrictly(Spoiler):
    """Refuses what it does not know, as most vendors do of their own interfaces."""

    says = f"Unrecognized request argument supplied: {STRANGE}"

    async def _pass_on(self, method, path, headers, body):
        if STRANGE.encode() not in body:
            return await super()._pass_on(method, path, headers, body)
        told = {"error": {"message": self.says, "type": "invalid_request_error", "code": None}}
        return 400, "application/json", json.dumps(told).encode(), []


class ReadsStrictlyAndKeepsItToItself(ReadsStrictly):
    says = "Bad request."


@pytest.mark.parametrize(
    ("spoiler", "verdict"), [(ReadsStrictly, "pass"), (ReadsStrictlyAndKeepsItToItself, "fail")]
)
def test_an_unknown_member_may_be_refused_by_its_name(spoilt, spoiler, verdict):
    [found] = checked(spoilt(spoiler), "chat", "unknown member")
    assert found.verdict == verdict


class RefusesAsGoogle(Spoiler):
    async def _pass_on(self, method, path, headers, body):
        if path.startswith("/v1/chat"):
            return 404, "text/plain", b"", []
        return (
            400,
            "application/json",
            b'{"error": {"details": [{"reason": "API_KEY_INVALID"}]}}',
            [],
        )


def test_a_refused_key_is_known_by_the_first_surface_that_is_there(spoilt, lonely):
    link = Link(spoilt(RefusesAsGoogle), KEY)
    assert barred(link, ("chat", "gemini"), MODELS).status == 400
    assert barred(link, ("embeddings",), MODELS).status == 400
    assert barred(link, ("chat",), MODELS) is None
    assert barred(Link(lonely.url, KEY), SURFACES, MODELS) is None


def conformance(*arguments):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "conformance", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < 15
    return done.returncode, done.stderr


def test_without_a_key_and_with_a_wrong_one_a_line_says_so_and_nothing_is_checked(lonely):
    code, said = conformance(lonely.url)
    assert code == 1
    assert f"{lonely.url} answers 401" in said
    assert "--key" in said
    code, said = conformance(lonely.url, "--key", "not-a-key-of-anybody")
    assert code == 1
    assert "does not accept the key" in said
    assert "not-a-key" not in said


def test_a_dead_port_and_a_silent_one_are_told_in_a_line():
    code, said = conformance(f"http://127.0.0.1:{free_port()}", "--key", KEY)
    assert code == 1
    assert "Nobody answers at" in said
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, said = conformance(url, "--key", KEY)
    assert code == 1
    assert "Nobody answers at" in said


def test_an_address_that_is_none_is_told_in_a_line():
    for url in ("127.0.0.1:8000", "http://127.0.0.1:99999"):
        code, said = conformance(url)
        assert code == 2
        assert url in said
        with pytest.raises(Unreachable):
            Link(url, "")
