"""The scorecard of a gateway: every trial of every surface, and whether what must hold does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from dragoman.conformance.anthropic import Anthropic
from dragoman.conformance.chat import Chat
from dragoman.conformance.gemini import Gemini
from dragoman.conformance.link import Link, Reply, Unreachable
from dragoman.conformance.ollama import Ollama
from dragoman.conformance.parts import Broken, Question, Surface
from dragoman.conformance.responses import Responses
from dragoman.conformance.trials import ABSENT, TRIALS, Case, NotOffered, vectors

__all__ = ["SURFACES", "TITLES", "Finding", "barred", "check", "is_held"]

_CHATS: tuple[Surface, ...] = (Chat(), Anthropic(), Responses(), Gemini(), Ollama())
_BY_NAME = {each.name: each for each in _CHATS}
SURFACES = (*_BY_NAME, "embeddings")
_BAD = 400
_NO_KEY = {401, 403}
_OPTIONAL = {"count tokens", "models"}
_VECTORS = "vectors"
TITLES = frozenset({*(title for title, _ in TRIALS), _VECTORS})


class Finding(Struct, frozen=True):
    """What one check found."""

    surface: str
    check: str
    verdict: Literal["pass", "fail", "not offered"]
    why: str
    mandatory: bool = True


def check(
    link: Link, names: tuple[str, ...], models: dict[str, str], titles: frozenset[str] = TITLES
) -> Iterator[Finding]:
    """Checks surfaces, one after the other; of their checks those with these titles."""
    for name in names:
        if name == "embeddings" and _VECTORS not in titles:
            continue
        if name == "embeddings":
            yield _found(name, _VECTORS, partial(vectors, link, models[name]))
            continue
        case = Case(link, _BY_NAME[name], models[name])
        if not _is_offered(case):
            yield Finding(name, "surface", "not offered", "Its path is not there.")
            continue
        for title, run in TRIALS:
            if title in titles:
                yield _found(name, title, partial(run, case))


def barred(link: Link, names: tuple[str, ...], models: dict[str, str]) -> Reply | None:
    """How the first surface that is offered refuses the key; None: it takes it.

    Raises:
        Unreachable: nobody answers.
    """
    for name in names:
        surface = _BY_NAME.get(name, _BY_NAME["chat"])
        body: dict[str, Any] = {"model": models[name], "input": "one"}
        path = "/v1/embeddings"
        if name in _BY_NAME:
            path, body = surface.ask(models[name], Question(), stream=False)
        reply = link.ask(path, body, surface.headers(link.key))
        if reply.status not in ABSENT:
            return reply if _refuses_key(reply) else None
    return None


def _refuses_key(reply: Reply) -> bool:
    """Google refuses one with 400."""
    return reply.status in _NO_KEY or (reply.status == _BAD and b"API_KEY_INVALID" in reply.body)


def is_held(findings: list[Finding]) -> bool:
    """Whether something is offered, and nothing mandatory failed."""
    offered = any(each.verdict != "not offered" for each in findings)
    return offered and not any(each.mandatory and each.verdict == "fail" for each in findings)


def _found(surface: str, title: str, run: Callable[[], str]) -> Finding:
    mandatory = title not in _OPTIONAL
    try:
        return Finding(surface, title, "pass", run(), mandatory)
    except NotOffered as absent:
        return Finding(surface, title, "not offered", str(absent), mandatory)
    except (Broken, Unreachable) as broken:
        return Finding(surface, title, "fail", f"{broken}.", mandatory)
    except (AttributeError, TypeError) as odd:
        return Finding(surface, title, "fail", f"a value has a wrong type ({odd}).", mandatory)


def _is_offered(case: Case) -> bool:
    """A path that is not there answers every question alike, a bad one as well."""
    path, body = case.surface.ask(case.model, Question(), stream=False)
    try:
        return not all(case.send(path, sent).status in ABSENT for sent in (body, b"{"))
    except Unreachable:
        return True  # the checks tell why
