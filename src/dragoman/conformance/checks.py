"""The checks of a surface, each a sentence about what was seen, and the scorecard of them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from dragoman.conformance.anthropic import Anthropic
from dragoman.conformance.chat import Chat
from dragoman.conformance.gemini import Gemini
from dragoman.conformance.link import Link, Reply, Unreachable
from dragoman.conformance.ollama import Ollama
from dragoman.conformance.parts import (
    TOOL,
    Broken,
    Question,
    Surface,
    Told,
    member,
    parsed,
    wanted,
)
from dragoman.conformance.responses import Responses

__all__ = ["SURFACES", "Finding", "check", "is_held"]

_CHATS: tuple[Surface, ...] = (Chat(), Anthropic(), Responses(), Gemini(), Ollama())
_BY_NAME = {each.name: each for each in _CHATS}
SURFACES = (*_BY_NAME, "embeddings")
_ABSENT = {404, 405}
_OK, _BAD, _UNAUTHORIZED, _UNKNOWN = 200, 400, 401, 404
_MANY = 4
_OPTIONAL = {"count tokens", "models"}


class Finding(Struct, frozen=True):
    """What one check found."""

    surface: str
    check: str
    verdict: Literal["pass", "fail", "not offered"]
    why: str
    mandatory: bool = True


class _NotOffered(Exception):  # noqa: N818 - it is no error
    """The surface or its page is not there."""


class _Case:
    """A surface under check."""

    def __init__(self, link: Link, surface: Surface, model: str) -> None:
        self.link, self.surface, self.model = link, surface, model

    def send(
        self, path: str, body: dict[str, Any] | bytes | None, key: str | None = None
    ) -> Reply:
        return self.link.ask(path, body, self.surface.headers(key or self.link.key))

    def whole(self, question: Question, **members: Any) -> Told:
        path, body = self.surface.ask(self.model, question, stream=False)
        return self.surface.whole(_good(self.send(path, {**body, **members})))

    def stream(self, question: Question) -> Told:
        reply = self.send(*self.surface.ask(self.model, question, stream=True))
        wanted(reply.status == _OK, f"it answered {reply.status}: {_start(reply)}")
        wanted(reply.kind == self.surface.streams_as, f"the content type is {reply.kind!r}")
        return self.surface.stream(reply.body)

    def refused(self, reply: Reply, *statuses: int) -> str:
        wanted(reply.status in statuses, f"it answered {reply.status}, not {statuses[0]}")
        wanted(reply.kind == "application/json", f"the error's content type is {reply.kind!r}")
        self.surface.error(parsed(reply.body), reply.status)
        return f"{reply.status} in the dialect's own shape."


def check(link: Link, names: tuple[str, ...], models: dict[str, str]) -> Iterator[Finding]:
    """Checks surfaces, one after the other."""
    for name in names:
        if name == "embeddings":
            yield _found(name, "vectors", partial(_embeddings, link, models[name]))
            continue
        case = _Case(link, _BY_NAME[name], models[name])
        if not _is_offered(case):
            yield Finding(name, "surface", "not offered", "Its path is not there.")
            continue
        for title, run in _CHECKS:
            yield _found(name, title, partial(run, case))


def is_held(findings: list[Finding]) -> bool:
    """Whether something is offered, and nothing mandatory failed."""
    offered = any(each.verdict != "not offered" for each in findings)
    return offered and not any(each.mandatory and each.verdict == "fail" for each in findings)


def _found(surface: str, title: str, run: Callable[[], str]) -> Finding:
    mandatory = title not in _OPTIONAL
    try:
        return Finding(surface, title, "pass", run(), mandatory)
    except _NotOffered as absent:
        return Finding(surface, title, "not offered", str(absent), mandatory)
    except (Broken, Unreachable) as broken:
        return Finding(surface, title, "fail", f"{broken}.", mandatory)
    except (AttributeError, TypeError) as odd:
        return Finding(surface, title, "fail", f"a value has a wrong type ({odd}).", mandatory)


def _is_offered(case: _Case) -> bool:
    """A path that is not there answers every question alike, a bad one as well."""
    path, body = case.surface.ask(case.model, Question(), stream=False)
    try:
        return not all(case.send(path, sent).status in _ABSENT for sent in (body, b"{"))
    except Unreachable:
        return True  # the checks tell why


def _good(reply: Reply) -> dict[str, Any]:
    wanted(reply.status == _OK, f"it answered {reply.status}: {_start(reply)}")
    wanted(reply.kind == "application/json", f"the content type is {reply.kind!r}")
    return parsed(reply.body)


def _start(reply: Reply) -> str:
    return reply.body[:160].decode("utf-8", "replace")


def _whole(case: _Case) -> str:
    told = case.whole(Question())
    wanted(told.text, "the answer has no words")
    wanted(told.finish == "stop", f"it ended with {told.finish}")
    return "A whole reply with words, end and usage."


def _streamed(case: _Case) -> str:
    told = case.stream(Question())
    wanted(told.text, "the deltas join to no words")
    wanted(told.finish == "stop", f"it ended with {told.finish}")
    return "Every event in order, one end, usage where asked for."


def _tool_turns(ask: Callable[[Question], Told]) -> str:
    text = f"Call the tool {TOOL} for Paris."
    told = ask(Question(text, tool=True))
    wanted(told.calls, "the tool was not called")
    wanted(told.calls[0].name == TOOL, f"the tool {told.calls[0].name} was called")
    wanted("city" in told.calls[0].arguments, "the arguments do not fit the schema")
    wanted(told.finish == "tools", f"it ended with {told.finish}")
    second = ask(Question(text, done=told.calls[0]))
    wanted(second.text, "the second turn has no words")
    return "A call that fits its schema, and an answer to its result."


def _structured(case: _Case) -> str:
    told = case.whole(Question("Name a city, as JSON.", schema=True))
    member(parsed(told.text), "city", str)
    return "The words are JSON that fits the schema."


def _system(case: _Case) -> str:
    wanted(case.whole(Question(system="You are brief.")).text, "the answer has no words")
    return "A system prompt is taken."


def _limit(case: _Case) -> str:
    told = case.whole(Question("Tell a long story of a long journey.", limit=16))
    wanted(told.finish == "length", f"it ended with {told.finish}")
    return "A cut answer says so."


def _image(case: _Case) -> str:
    wanted(case.whole(Question("What is this?", image=True)).text, "the answer has no words")
    return "An image is taken."


def _unknown_member(case: _Case) -> str:
    case.whole(Question(), x_conformance="of no meaning")
    return "A member that nobody knows does no harm."


def _parallel(case: _Case) -> str:
    with ThreadPoolExecutor(_MANY) as pool:
        told = list(pool.map(case.whole, [Question()] * _MANY))
    wanted(all(each.text for each in told), "an answer has no words")
    return f"{_MANY} requests at once were all answered."


def _bad_key(case: _Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    return case.refused(case.send(path, body, "not-a-key-of-anybody"), _UNAUTHORIZED)


def _bad_model(case: _Case) -> str:
    path, body = case.surface.ask("no-such-model-anywhere", Question(), stream=False)
    return case.refused(case.send(path, body), _UNKNOWN)


def _malformed(case: _Case) -> str:
    path, _ = case.surface.ask(case.model, Question(), stream=False)
    return case.refused(case.send(path, b'{"model": '), _BAD)


def _no_model(case: _Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    if "model" not in body:
        raise _NotOffered("The dialect says the model in the path.")
    del body["model"]
    return case.refused(case.send(path, body), _BAD, 422)


def _wrong_type(case: _Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    name = next(each for each in ("messages", "input", "contents") if each in body)
    return case.refused(case.send(path, {**body, name: 7}), _BAD, 422)


def _models(case: _Case) -> str:
    path, rows = {
        "gemini": ("/v1beta/models", "models"),
        "ollama": ("/api/tags", "models"),
    }.get(case.surface.name, ("/v1/models", "data"))
    listed = member(_good(_there(case.send(path, None))), rows, list)
    wanted(listed, "the list is empty")
    member(listed[0], "id" if rows == "data" else "name", str)
    return "Models are listed in the dialect's shape."


def _count(case: _Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    if case.surface.name == "anthropic":
        path, name = path + "/count_tokens", "input_tokens"
        del body["max_tokens"]
    elif case.surface.name == "responses":
        path, name = path + "/input_tokens", "input_tokens"
        body = {"model": body["model"], "input": body["input"]}
    elif case.surface.name == "gemini":
        path, name = path.replace("generateContent", "countTokens"), "totalTokens"
        body = {"contents": body["contents"]}
    else:
        raise _NotOffered("The dialect has no counter.")
    wanted(member(_good(_there(case.send(path, body))), name, int) > 0, f"{name} is not positive")
    return "The tokens of a request are counted."


def _there(reply: Reply) -> Reply:
    if reply.status in _ABSENT:
        raise _NotOffered("Its path is not there.")
    return reply


def _embeddings(link: Link, model: str) -> str:
    headers = {"authorization": f"Bearer {link.key}"}
    reply = link.ask("/v1/embeddings", {"model": model, "input": ["one", "two"]}, headers)
    body = _good(_there(reply))
    wanted(member(body, "object", str) == "list", "object is not list")
    rows = member(body, "data", list)
    wanted([row.get("index") for row in rows] == [0, 1], "the rows are not one for each text")
    for row in rows:
        vector = member(row, "embedding", list)
        wanted(vector and all(isinstance(x, int | float) for x in vector), "a vector is none")
    member(member(body, "usage", dict), "prompt_tokens", int)
    return "A vector for each text, in order, with usage."


_CHECKS: tuple[tuple[str, Callable[[_Case], str]], ...] = (
    ("whole reply", _whole),
    ("stream", _streamed),
    ("tools", lambda case: _tool_turns(case.whole)),
    ("tools, streamed", lambda case: _tool_turns(case.stream)),
    ("structured output", _structured),
    ("system prompt", _system),
    ("token limit", _limit),
    ("image", _image),
    ("bad key", _bad_key),
    ("unknown model", _bad_model),
    ("malformed JSON", _malformed),
    ("missing model", _no_model),
    ("wrong type", _wrong_type),
    ("unknown member", _unknown_member),
    ("parallel requests", _parallel),
    ("models", _models),
    ("count tokens", _count),
)
