"""Bytes in the place of addresses, for a candidate whose provider takes bytes alone.

Codecs are pure and fetch nothing, so what a dialect's ``embodied`` names is fetched here, before its
``write_request``: once for each call, however many candidates are tried, and never where caller
and provider speak one family.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from dragoman.attempt.means import Means
from dragoman.attempt.policy import LARGE
from dragoman.attempt.ports import Fetched, Wanted
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, invalid
from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Inline,
    Media,
    Message,
    Part,
    PartsDoc,
    SearchResult,
    ToolResult,
    Url,
)
from dragoman.core.provider import Candidate
from dragoman.core.request import Request
from dragoman.dialects.base import Embodied
from dragoman.dialects.registry import DIALECTS, counter_of

P = ParamSpec("P")
T = TypeVar("T")

_REFERERS = ("x-image-fetch-referer", "x-image-referer")
MOST_FILLED = 48 * 1024 * 1024
"""Characters of fetched bytes in one request, each place counted: one picture named two hundred times
is two hundred pictures to the provider."""


class Given(Struct, frozen=True):
    """A caller's request as it is written for a candidate."""

    request: Request
    losses: tuple[Loss, ...] = ()
    size: int = 0
    """Characters of what was fetched."""


class Embodiment:
    """What has been read and fetched for one call."""

    __slots__ = ("_ask", "_call", "_failure", "_found", "_means", "_request")

    def __init__(self, ask: Ask, call: Call, means: Means) -> None:
        self._ask = ask
        self._call = call
        self._means = means
        self._request: Request | None = None
        self._found: dict[str, Fetched] = {}
        self._failure: CallerError | None = None

    async def given(self, candidate: Candidate, left_s: float) -> Given | None:
        """The request with bytes for the candidate; None where it is written as it came.

        Raises:
            CallerError: something cannot be fetched, in whatever time is left.
        """
        fetcher, rules = self._means.fetcher, embodied_for(self._call, candidate)
        if fetcher is None or rules is None:
            return None
        request = self._request
        if request is None:
            request = self._request = await self._read()
        wanted = await self._aside(addresses_in, request, rules)
        if not wanted:
            return Given(request)
        missing = tuple(each for each in wanted if each.url not in self._found)
        if missing:
            if self._failure is not None:
                raise self._failure
            try:
                async with asyncio.timeout(left_s):
                    self._found |= await fetcher.fetch(
                        missing,
                        tenant=self._tenant(),
                        referer=self._referer(),
                        authorization=self._call.headers.get("authorization"),
                    )
            except CallerError as error:
                self._failure = error
                raise
            except TimeoutError:
                raise invalid(
                    f"Nothing was left of the request's time to fetch the {missing[0].kind} at "
                    f"{missing[0].at}; send its bytes in base64 instead.",
                    missing[0].at,
                    "image_fetch_timeout",
                ) from None
        return await self._aside(with_bytes, request, rules, self._found)

    async def _aside(self, step: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """A step over the whole request: in a thread where it is large, for other calls go on."""
        if len(self._ask.body) <= LARGE:
            return step(*args, **named)
        return await asyncio.to_thread(step, *args, **named)

    async def _read(self) -> Request:
        if self._call.operation == "count_tokens":
            read = counter_of(self._call.dialect).read_request
        else:
            read = DIALECTS[self._call.dialect].read_request
        return await self._aside(read, self._ask.body)

    def _tenant(self) -> str:
        caller = self._call.caller
        return "" if caller is None else caller.tenant

    def _referer(self) -> str | None:
        headers = self._call.headers
        return next((headers[name] for name in _REFERERS if headers.get(name)), None)


def embodied_for(call: Call, candidate: Candidate) -> Embodied | None:
    """What the candidate takes as bytes alone; None where nothing has to be looked for."""
    provider = candidate.provider
    if call.dialect == provider.family or provider.stub:
        return None
    if call.operation not in {"chat", "count_tokens"}:
        return None
    dialect = DIALECTS.get(provider.family)
    return None if dialect is None else dialect.embodied


def addresses_in(request: Request, rules: Embodied) -> tuple[Wanted, ...]:
    """Every address that has to become bytes, in the order of the request."""
    found: list[Wanted] = []

    if not any(_has_addresses(message.parts) for message in request.messages) and not (
        _has_addresses(request.system)
    ):
        return ()

    def note(media: Media, at: str) -> Media:
        source = cast("Url", media.source)
        found.append(Wanted(source.url, media.kind, at))
        return media

    _mapped(request, rules, note)
    return tuple(found)


def with_bytes(request: Request, rules: Embodied, found: dict[str, Fetched]) -> Given:
    """The request with what was fetched; each place is told as a loss."""
    losses: list[Loss] = []
    size = 0

    def fill(media: Media, at: str) -> Media:
        nonlocal size
        fetched = found[cast("Url", media.source).url]
        size += len(fetched.data)
        if size > MOST_FILLED:
            raise invalid(
                f"What is fetched for the request is more than {MOST_FILLED >> 20} MB once it stands "
                "at every place that names it; name less, or each but once.",
                at,
                "image_fetch_too_large",
            )
        losses.append(Loss(at, "fetched here, for the provider takes bytes alone", "emulated"))
        return replace(media, kind=fetched.kind, source=Inline(fetched.data, fetched.mime))

    filled = _mapped(request, rules, fill)
    return Given(filled, tuple(losses), size)


# --------------------------------------------------------------------------- the walk

_Change = Callable[[Media, str], Media]


def _has_addresses(parts: tuple[Part, ...]) -> bool:
    """Whether the walk may find something; most requests hold nothing but words and calls."""
    for part in parts:
        match part:
            case Media(source=Url()):
                return True
            case Media(source=PartsDoc(parts=inner)):
                if _has_addresses(inner):
                    return True
            case ToolResult(parts=inner) | SearchResult(parts=inner):
                if _has_addresses(inner):
                    return True
            case _:
                pass
    return False


def _mapped(request: Request, rules: Embodied, change: _Change) -> Request:
    system = _parts(request.system, "system", rules, change)
    messages = tuple(
        _message(message, f"messages[{number}].content", rules, change)
        for number, message in enumerate(request.messages)
    )
    return replace(request, system=system, messages=messages)


def _message(message: Message, at: str, rules: Embodied, change: _Change) -> Message:
    parts = _parts(message.parts, at, rules, change)
    return message if parts is message.parts else replace(message, parts=parts)


def _parts(parts: tuple[Part, ...], at: str, rules: Embodied, change: _Change) -> tuple[Part, ...]:
    new = tuple(_part(part, f"{at}[{number}]", rules, change) for number, part in enumerate(parts))
    return parts if all(a is b for a, b in zip(parts, new, strict=True)) else new


def _part(part: Part, at: str, rules: Embodied, change: _Change) -> Part:
    match part:
        case Media(source=Url(url=url)):
            if part.kind in rules.kinds and not url.startswith(rules.but or ("\0",)):
                return change(part, at)
        case Media(source=PartsDoc() as source):
            inner = _parts(source.parts, f"{at}.source.content", rules, change)
            if inner is not source.parts:
                return replace(part, source=PartsDoc(inner))
        case ToolResult() | SearchResult():
            inner = _parts(part.parts, f"{at}.content", rules, change)
            if inner is not part.parts:
                return replace(part, parts=inner)
        case _:
            pass
    return part
