"""What is asked of a surface: each trial is a few requests, and a sentence about what was seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dragoman.conformance.link import Link, Reply
from dragoman.conformance.parts import (
    TOOL,
    Question,
    Surface,
    Told,
    member,
    parsed,
    wanted,
)

__all__ = ["ABSENT", "STRANGE", "TRIALS", "Case", "NotOffered", "vectors"]

ABSENT = {404, 405}
STRANGE = "conformancecheck"
"""A member of a request that nobody knows, in a spelling that nobody changes."""
_OK, _BAD, _UNAUTHORIZED, _UNKNOWN, _UNPROCESSABLE = 200, 400, 401, 404, 422
_MANY = 4
_WITHOUT_IDS = {"gemini", "ollama"}
"""Whose own servers tell no request's id in a header."""


class NotOffered(Exception):  # noqa: N818 - it is no error
    """The surface or its page is not there."""


class Case:
    """A surface under check."""

    def __init__(self, link: Link, surface: Surface, model: str) -> None:
        self.link, self.surface, self.model = link, surface, model

    def send(
        self, path: str, body: dict[str, Any] | bytes | None, key: str | None = None
    ) -> Reply:
        """One request, with the key as the surface shows it."""
        return self.link.ask(path, body, self.surface.headers(key or self.link.key))

    def whole(self, question: Question) -> Told:
        """A whole answer, its grammar held."""
        return self.whole_and_id(question)[0]

    def whole_and_id(self, question: Question) -> tuple[Told, str]:
        """A whole answer, and the id that its headers give the request."""
        path, body = self.surface.ask(self.model, question, stream=False)
        reply = self.send(path, body)
        return self.surface.whole(_good(reply)), reply.id

    def stream(self, question: Question) -> Told:
        """A streamed answer, its grammar held."""
        reply = self.send(*self.surface.ask(self.model, question, stream=True))
        wanted(reply.status == _OK, f"it answered {reply.status}: {_start(reply)}")
        wanted(reply.kind == self.surface.streams_as, f"the content type is {reply.kind!r}")
        return self.surface.stream(reply.body)

    def refused(self, reply: Reply, *statuses: int) -> str:
        """What is said of a refusal that has to be one."""
        wanted(reply.status in statuses, f"it answered {reply.status}, not {statuses[0]}")
        wanted(reply.kind == "application/json", f"the error's content type is {reply.kind!r}")
        self.surface.error(parsed(reply.body), reply.status)
        return f"{reply.status} in the dialect's own shape."


def _good(reply: Reply) -> dict[str, Any]:
    wanted(reply.status == _OK, f"it answered {reply.status}: {_start(reply)}")
    wanted(reply.kind == "application/json", f"the content type is {reply.kind!r}")
    return parsed(reply.body)


def _start(reply: Reply) -> str:
    return reply.body[:160].decode("utf-8", "replace")


def _whole(case: Case) -> str:
    told = case.whole(Question())
    wanted(told.text, "the answer has no words")
    wanted(told.finish == "stop", f"it ended with {told.finish}")
    return "A whole reply with words, end and usage."


def _streamed(case: Case) -> str:
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


def _structured(case: Case) -> str:
    told = case.whole(Question("Name a city, as JSON.", schema=True))
    member(parsed(told.text), "city", str)
    return "The words are JSON that fits the schema."


def _system(case: Case) -> str:
    wanted(case.whole(Question(system="You are brief.")).text, "the answer has no words")
    return "A system prompt is taken."


def _limit(case: Case) -> str:
    most = 16
    question = Question("Tell a long story of a long journey.", limit=most)
    for told in (case.whole(question), case.stream(question)):
        wanted(told.finish == "length", f"it ended with {told.finish}")
        wanted(told.spent is None or told.spent <= most, f"{told.spent} tokens came, not {most}")
    return "A cut answer says so, whole and streamed, and is no longer than asked."


def _stopped(case: Case) -> str:
    """A word of the answer is taken, and the same is asked for again up to that word."""
    if not case.surface.stops:
        raise NotOffered("The dialect knows no stop sequences.")
    question = Question("Say one sentence about the sea.")
    words = case.whole(question).text.split()
    wanted(len(words) > 1, "the answer has no words to stop at")
    word = words[len(words) // 2]
    until = Question(question.text, stop=word)
    for told in (case.whole(until), case.stream(until)):
        wanted(word not in told.text, f"the answer goes on behind {word!r}")
        wanted(told.finish == "stop", f"it ended with {told.finish}")
    return "An answer ends before its stop sequence, whole and streamed."


def _ids(case: Case) -> str:
    found = [case.whole_and_id(Question()) for _ in range(2)]
    answers = [told.id for told, _ in found if told.id]
    wanted(len(answers) == len(set(answers)), f"two answers have the id {(answers or [''])[0]!r}")
    requests = [named for _, named in found if named]
    if not requests and case.surface.name in _WITHOUT_IDS:
        raise NotOffered("The dialect names no request.")
    wanted(len(requests) == len(found), "the headers name no request")
    wanted(len(set(requests)) == len(found), f"two requests have the id {requests[0]!r}")
    return "Every request and every answer has an id of its own."


def _cut(case: Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=True)
    reply = case.link.cut(path, body, case.surface.headers(case.link.key))
    wanted(reply.status == _OK, f"it answered {reply.status}: {_start(reply)}")
    for told in (case.whole(Question()), case.stream(Question())):
        wanted(told.text, "the answer to the next request has no words")
    return "A client that leaves in the middle does the next one no harm."


def _image(case: Case) -> str:
    wanted(case.whole(Question("What is this?", image=True)).text, "the answer has no words")
    return "An image is taken."


def _unknown_member(case: Case) -> str:
    """Taken, or refused as strict vendors do; then the caller has to learn which member it was."""
    path, body = case.surface.ask(case.model, Question(), stream=False)
    reply = case.send(path, {**body, STRANGE: "of no meaning"})
    if reply.status not in {_BAD, _UNPROCESSABLE}:
        case.surface.whole(_good(reply))
        return "A member that nobody knows does no harm."
    case.refused(reply, _BAD, _UNPROCESSABLE)
    wanted(STRANGE.encode() in reply.body, f"the refusal does not name it: {_start(reply)}")
    return "A member that nobody knows is refused by its name."


def _parallel(case: Case) -> str:
    with ThreadPoolExecutor(_MANY) as pool:
        told = list(pool.map(case.whole, [Question()] * _MANY))
    wanted(all(each.text for each in told), "an answer has no words")
    return f"{_MANY} requests at once were all answered."


def _bad_key(case: Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    return case.refused(case.send(path, body, "not-a-key-of-anybody"), _UNAUTHORIZED)


def _bad_model(case: Case) -> str:
    path, body = case.surface.ask("no-such-model-anywhere", Question(), stream=False)
    return case.refused(case.send(path, body), _UNKNOWN)


def _malformed(case: Case) -> str:
    path, _ = case.surface.ask(case.model, Question(), stream=False)
    return case.refused(case.send(path, b'{"model": '), _BAD)


def _no_model(case: Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    if "model" not in body:
        raise NotOffered("The dialect says the model in the path.")
    del body["model"]
    return case.refused(case.send(path, body), _BAD, _UNPROCESSABLE)


def _wrong_type(case: Case) -> str:
    path, body = case.surface.ask(case.model, Question(), stream=False)
    name = next(each for each in ("messages", "input", "contents") if each in body)
    return case.refused(case.send(path, {**body, name: 7}), _BAD, _UNPROCESSABLE)


def _models(case: Case) -> str:
    path, rows = {
        "gemini": ("/v1beta/models", "models"),
        "ollama": ("/api/tags", "models"),
    }.get(case.surface.name, ("/v1/models", "data"))
    listed = member(_good(_there(case.send(path, None))), rows, list)
    wanted(listed, "the list is empty")
    member(listed[0], "id" if rows == "data" else "name", str)
    return "Models are listed in the dialect's shape."


def _count(case: Case) -> str:
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
        raise NotOffered("The dialect has no counter.")
    wanted(member(_good(_there(case.send(path, body))), name, int) > 0, f"{name} is not positive")
    return "The tokens of a request are counted."


def _there(reply: Reply) -> Reply:
    if reply.status in ABSENT:
        raise NotOffered("Its path is not there.")
    return reply


def vectors(link: Link, model: str) -> str:
    """Embeddings, the one surface that is no conversation."""
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


TRIALS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("whole reply", _whole),
    ("stream", _streamed),
    ("tools", lambda case: _tool_turns(case.whole)),
    ("tools, streamed", lambda case: _tool_turns(case.stream)),
    ("structured output", _structured),
    ("system prompt", _system),
    ("token limit", _limit),
    ("stop sequences", _stopped),
    ("image", _image),
    ("bad key", _bad_key),
    ("unknown model", _bad_model),
    ("malformed JSON", _malformed),
    ("missing model", _no_model),
    ("wrong type", _wrong_type),
    ("unknown member", _unknown_member),
    ("parallel requests", _parallel),
    ("request ids", _ids),
    ("client that leaves", _cut),
    ("models", _models),
    ("count tokens", _count),
)
