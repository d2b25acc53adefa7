"""One request in, one play out: routes, scripts, dice and the log come together here."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from random import Random
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from dragoman.mock import anthropic, chat, completions, gemini, ollama, responses
from dragoman.mock.account import credits_of, generation, generation_id
from dragoman.mock.answer import NOTHING, Billed, answer
from dragoman.mock.anthropic_request import read_messages
from dragoman.mock.ask import Ask, Json, Refused
from dragoman.mock.chat_request import read_chat
from dragoman.mock.config import MockConfig, MockConfigError, changed
from dragoman.mock.embeddings import embed, model, models
from dragoman.mock.errors import Dialect, Fault, error_body, error_headers
from dragoman.mock.gemini_request import read_contents
from dragoman.mock.invoice import Rates, amount, rates_of, spelled
from dragoman.mock.persona import Persona, persona
from dragoman.mock.play import HANG, Pace, Play, stage
from dragoman.mock.reply import Reply, json_reply
from dragoman.mock.responses_request import read_responses
from dragoman.mock.script import Script, ScriptError, Scripts, read_scripts
from dragoman.mock.scripted import fault_of, pace_of
from dragoman.mock.truth import Entry, Truth

__all__ = ["Exchange", "Mock", "Received"]

_SIMULATED = (429, 500, 503, 400)
"""What a failing die may show (R-MOCK-003)."""
_REFUSED_KEYS = ("invalid", "sk-invalid", "sk-ant-invalid")
"""Credentials that are answered by 401; any other, or none, is taken."""

_SURPRISES = (TypeError, ValueError, AttributeError, LookupError, RecursionError)
"""What reading JSON of any shape by hand may raise: the caller's mistake, not an end of the mock."""


class Received(Struct):
    """A request as it came; header names in lower case, of repeated ones the last."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool = True


class Exchange(Struct):
    """A request on its way: what will happen, and the log's entry about it."""

    play: Play
    status: int
    billed: Billed = NOTHING
    rates: Rates = Rates()
    entry: Entry | None = None
    """None for the mock's own routes, which are not logged."""


class Mock:
    """The provider; it knows nothing of sockets."""

    def __init__(
        self,
        config: MockConfig,
        truth: Truth | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._first = config
        self.config = config
        self.truth = truth or Truth()
        self.scripts = Scripts()
        self._log = log
        self._number = 0
        self._roll()

    def _roll(self) -> None:
        seed = self.config.seed
        self._seed = secrets.randbits(32) if seed is None else seed
        self._dice = Random(self._seed)  # noqa: S311 - determinism is the point

    def reset(self) -> None:
        """Start-up values, fresh dice, no scripts, numbers from 1; the log stays."""
        self.config = self._first
        self.scripts.clear()
        self._number = 0
        self._roll()

    def receive(self, request: Received) -> Exchange:
        """What is to happen with a request."""
        if request.path.startswith("/mock/") or request.path in {"/", "/health"}:
            return _immediate(self._control(request), request)
        self._number += 1
        entry = self._entry(request)
        self.truth.open(entry)
        call = _Call(request, self._number)
        chance = self._dice.random(), self._dice.random(), self._dice.uniform(-1, 1)
        try:
            exchange = self._provide(call, entry, chance)
        except ScriptError as error:
            exchange = _immediate(
                call.failed(Fault(400, str(error), "mock_script_error")), request
            )
        except Refused as refusal:
            fault = Fault(
                refusal.status, refusal.message, refusal.type, refusal.code, refusal.param
            )
            exchange = _immediate(call.failed(fault), request)
        except _SURPRISES as surprise:
            text = f"The request has an unexpected shape: {surprise}."
            exchange = _immediate(call.failed(Fault(400, text)), request)
        exchange.entry = entry
        return exchange

    def _entry(self, request: Received) -> Entry:
        headers = request.headers
        trace = headers.get("traceparent", "")[3:35]
        return Entry(
            id=f"req_mock{self._number:06d}",
            time=time.time(),
            method=request.method,
            path=request.path,
            trace=trace,
            attempt=self.truth.attempt(trace, headers.get("x-stainless-retry-count", "")),
            auth=_seen(headers),
        )

    def _provide(self, call: _Call, entry: Entry, chance: tuple[float, float, float]) -> Exchange:
        """Script before dice, dice before the request's own merits."""
        request = call.request
        body = call.body()
        entry.model = (call.model or str(body.get("model", "")))[:256] if body else ""
        call.rates = rates_of(entry.model, self.config.prices)
        script = self.scripts.choose(request.headers, entry.model, request.path)
        config = self.config
        failing, silent, drift = chance
        pace = pace_of(config, script, drift)
        if script is not None:
            entry.script = script.told
        elif silent < config.timeout_rate:
            return Exchange(HANG, 0)
        elif failing < config.error_rate:
            status = _SIMULATED[int(failing / config.error_rate * len(_SIMULATED))]
            script = Script(status=status)
        script = script or Script()
        if script.fails and script.status is not None:
            reply = call.failed(fault_of(script, script.status))
        else:
            call.check_key()
            reply = self._reply(call, body, script)
            if script.status is not None:
                reply = msgspec.structs.replace(reply, status=script.status)
            if call.persona.name == "openrouter" and body is not None:
                named = ("x-generation-id", generation_id(self._number))
                reply = msgspec.structs.replace(reply, headers=(*reply.headers, named))
        entry.stream = reply.streamed
        play = stage(
            reply,
            script,
            pace,
            keep_alive=request.keep_alive,
            error_frame=call.error_frame(script) if script.error_after is not None else b"",
        )
        return Exchange(play, reply.status, reply.billed, call.rates)

    def _reply(self, call: _Call, body: Json | None, script: Script) -> Reply:
        path, method = call.request.path, call.request.method
        if method == "GET" and "/models" in path:
            return _models(call)
        if method == "GET" and path.endswith("/generation"):
            wanted = call.query.get("id", [""])[0]
            config = self.config
            return generation(
                wanted, self.truth.entries, config.generation_delay, config.generation_factor
            )
        if method == "GET" and path.endswith("/credits"):
            return credits_of(self.truth.entries)
        if method == "GET" and path.endswith("/api/tags"):
            return ollama.tags()
        if method == "GET" and path.endswith("/api/v1/key"):
            return _ok({"data": {"label": "mock", "usage": 0, "limit": None}})
        if body is None:
            raise Refused(f"Unknown request URL: {method} {path}.", status=404, code="unknown_url")
        number = self._number
        if call.dialect == "gemini":
            return self._gemini(call, body, script)
        if path.endswith("/chat/completions"):
            ask = read_chat(body)
            write = chat.stream if ask.stream else chat.whole
            said = answer(ask, script, number, self._seed)
            setting = chat.Setting(call.persona, script, number, int(time.time()), call.rates)
            return write(ask, said, setting)
        if path.endswith("/responses"):
            ask = read_responses(body)
            write = responses.stream if ask.stream else responses.whole
            said = answer(ask, script, number, self._seed)
            setting = chat.Setting(call.persona, script, number, int(time.time()), call.rates)
            return write(ask, said, setting)
        if path.endswith("/responses/input_tokens"):
            counted = read_responses(body).input
            told = b'{"object":"response.input_tokens","input_tokens":%d}' % counted
            return json_reply(200, told)
        if "/api/" in path and call.dialect == "ollama":
            return self._ollama(path.rpartition("/")[2], body, script)
        if path.endswith("/completions"):
            asked = completions.read_prompt(body)
            setting = chat.Setting(call.persona, script, number, int(time.time()), call.rates)
            tell = completions.stream if asked.stream else completions.whole
            return tell(asked, answer(asked, script, number, self._seed), setting)
        if path.endswith("/embeddings"):
            return embed(body, script, number, self._seed)
        if path.endswith("/messages/count_tokens"):
            message = read_messages(body, counting=True)
            return json_reply(200, b'{"input_tokens":%d}' % message.input)
        if path.endswith("/messages"):
            return self._message(call, read_messages(body), script)
        raise Refused(f"Unknown request URL: {method} {path}.", status=404, code="unknown_url")

    def _ollama(self, method: str, body: Json, script: Script) -> Reply:
        if method in {"embed", "embeddings"}:
            old = method == "embeddings"
            return ollama.vectors(body, script, self._number, self._seed, old=old)
        if method not in {"chat", "generate"}:
            raise Refused("404 page not found", status=404)
        shape: ollama.Shape = "chat" if method == "chat" else "generate"
        ask = ollama.read(body, shape)
        if ask is None:
            return ollama.loaded(body, shape)
        said = answer(ask, script, self._number, self._seed)
        write = ollama.stream if ask.stream else ollama.whole
        return write(ask, said, script, shape)

    def _gemini(self, call: _Call, body: Json, script: Script) -> Reply:
        number, seed = self._number, self._seed
        match method := call.request.path.rpartition(":")[2]:
            case "generateContent" | "streamGenerateContent":
                streamed = method == "streamGenerateContent"
                ask = read_contents(body, call.model, stream=streamed)
                said = answer(ask, script, number, seed)
                if streamed:
                    return gemini.stream(ask, said, script, number, array=call.array)
                return gemini.whole(ask, said, script, number)
            case "countTokens":
                return gemini.count(body, call.model)
            case "embedContent" | "batchEmbedContents":
                batch = method == "batchEmbedContents"
                return gemini.vectors(body, call.model, script, number, seed, batch=batch)
            case _:
                raise Refused("The requested URL was not found on this server.", status=404)

    def _message(self, call: _Call, ask: Ask, script: Script) -> Reply:
        if "anthropic-version" not in call.request.headers:
            raise Refused("anthropic-version: header is required")
        said = answer(ask, script, self._number, self._seed)
        write = anthropic.stream if ask.stream else anthropic.whole
        return write(ask, said, script, self._number)

    def finish(
        self,
        exchange: Exchange,
        output: int,
        *,
        whole: bool,
        left: bool = False,
        told: bool = False,
    ) -> None:
        """The exchange is over: ``output`` tokens went out before its end, and ``told`` what they are."""
        entry = exchange.entry
        if entry is None:
            return
        billed = exchange.billed
        entry.output = billed.output if whole else min(output, billed.output)
        entry.told = told
        self._invoice(exchange, entry)
        self.truth.close(entry, whole=whole, left=left)
        if self.config.enable_logs:
            took_ms = ((entry.ended or entry.time) - entry.time) * 1000
            end = "caller left" if left else "whole" if whole else "broken off"
            self._log(
                f"{entry.id} {entry.method} {entry.path} {entry.model or '-'} "
                f"{entry.status or '-'} {entry.input}+{entry.output} tokens {took_ms:.0f} ms {end}"
            )

    def sent(self, exchange: Exchange) -> None:
        """The head of the answer is about to go out: from here on it is billed."""
        if (entry := exchange.entry) is not None:
            billed = exchange.billed
            entry.status = exchange.status
            entry.input, entry.cached = billed.input, billed.cached
            entry.cache_write = billed.cache_write
            self._invoice(exchange, entry)
            self.truth.answer(entry)

    def _invoice(self, exchange: Exchange, entry: Entry) -> None:
        taken = Billed(
            entry.input, entry.output, cached=entry.cached, cache_write=entry.cache_write
        )
        entry.invoice = spelled(amount(taken, exchange.rates))

    def _control(self, request: Received) -> Reply:
        """The mock's own routes."""
        try:
            return self._obey(f"{request.method} {request.path}", request)
        except (MockConfigError, ScriptError) as error:
            return json_reply(400, msgspec.json.encode({"error": str(error)}))

    def _obey(self, wish: str, request: Received) -> Reply:
        match wish:
            case "GET /" | "GET /health":
                return _ok({"status": "ok", "mock": "dragoman", "see": "/mock/config"})
            case "GET /mock/config":
                return _ok(self.config)
            case "POST /mock/config":
                before, self.config = self.config, changed(self.config, request.body)
                if before.seed != self.config.seed:
                    self._roll()
                return _ok(self.config)
            case "POST /mock/reset":
                self.reset()
                return _ok(self.config)
            case "POST /mock/script":
                self.scripts.add(read_scripts(request.body))
            case "DELETE /mock/script":
                self.scripts.clear()
            case "GET /mock/script":
                pass
            case "POST /mock/truth/reset":
                self.truth.reset()
                return _ok({"status": "ok"})
            case "GET /mock/truth":
                newest = request.query.removeprefix("limit=")
                return json_reply(
                    200, self.truth.report(int(newest) if newest.isdecimal() else None)
                )
            case _:
                return json_reply(404, msgspec.json.encode({"error": f"The mock has no {wish}."}))
        return _ok({"scripts": self.scripts.waiting})


class _Call:
    """What a provider's routes need to know of one request."""

    def __init__(self, request: Received, number: int) -> None:
        self.request = request
        self.number = number
        self.dialect: Dialect = _dialect(request.path)
        self.persona: Persona = persona(request.path)
        self.query = parse_qs(request.query)
        self.rates = Rates()
        """What its model costs."""
        self.model = ""
        """The model that the path names; elsewhere the body does."""
        if self.dialect == "gemini":
            named = request.path.partition("/models/")[2].rpartition(":")[0]
            self.model = unquote(named)

    @property
    def array(self) -> bool:
        """Whether Gemini's stream is to be one array."""
        return self.query.get("alt") != ["sse"]

    def body(self) -> Json | None:
        """The request's JSON object; None for a request that has no body."""
        if self.request.method != "POST":
            return None
        try:
            return msgspec.json.decode(self.request.body, type=dict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused("We could not parse the JSON body of your request.") from None

    def check_key(self) -> None:
        """Refuses the few credentials that stand for wrong ones."""
        headers = self.request.headers
        if self.dialect == "gemini":
            key = headers.get("x-goog-api-key") or self.query.get("key", [""])[0]
            if key in _REFUSED_KEYS:
                # A wrong key is a bad request to Google.
                raise Refused("API key not valid.", code="API_KEY_INVALID")
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if key in _REFUSED_KEYS:
            raise Refused("Incorrect API key provided.", status=401)

    def failed(self, fault: Fault) -> Reply:
        """An error reply in the dialect and the service's own form."""
        body = error_body(fault, self.dialect, self.persona, self.number)
        return json_reply(fault.status, body, error_headers(fault, self.dialect, self.number))

    def error_frame(self, script: Script) -> bytes:
        """The frame that ends a stream: overloaded, unless the script says otherwise."""
        fault = fault_of(script, 529 if self.dialect == "anthropic" else 503)
        body = error_body(fault, self.dialect, self.persona, self.number)
        if self.request.path.endswith("/responses"):
            return responses.error_frame(body)
        if self.dialect == "gemini":
            return gemini.error_frame(body, array=self.array, first=not script.error_after)
        return _ERROR_FRAMES[self.dialect](body)


_ERROR_FRAMES = {
    "chat": chat.error_frame,
    "anthropic": anthropic.error_frame,
    "ollama": ollama.error_frame,
}


def _dialect(path: str) -> Dialect:
    """What a path speaks; OpenRouter's begins with ``/api`` too, and has a version behind it."""
    if "/messages" in path:
        return "anthropic"
    if "/v1beta/models" in path:
        return "gemini"
    return "ollama" if "/api/" in path and "/v1/" not in path else "chat"


def _models(call: _Call) -> Reply:
    anthropic_shape = "anthropic-version" in call.request.headers
    _, _, name = call.request.path.partition("/models")
    if call.dialect == "gemini":
        named = name.strip("/")
        return json_reply(200, gemini.row(named) if named else gemini.listing())
    if name.strip("/"):
        return json_reply(200, model(name.strip("/"), anthropic=anthropic_shape))
    return json_reply(200, models(anthropic=anthropic_shape))


def _seen(headers: dict[str, str]) -> str:
    for name in ("authorization", "x-api-key", "api-key", "x-goog-api-key"):
        if value := headers.get(name):
            return f"{name}:{sha256(value.encode('latin-1', 'replace')).hexdigest()[:12]}"
    return ""


def _ok(value: object) -> Reply:
    return json_reply(200, msgspec.json.encode(value))


def _immediate(reply: Reply, request: Received) -> Exchange:
    play = stage(reply, Script(), Pace(), keep_alive=request.keep_alive)
    return Exchange(play, reply.status)
