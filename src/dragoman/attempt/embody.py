"""Bytes in the place of addresses, for a provider that takes bytes alone or is to get them (R-IMG-001).

Codecs are pure and fetch nothing, so what a dialect's ``embodied`` names is fetched here, before its
``write_request``: once for each call, however many candidates are tried. Where caller and provider
speak one family nothing is, unless the operator has named the provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.attempt.aside import aside
from dragoman.attempt.embody_raw import may_hold_pictures, pictures
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Fetched, Fetcher, Wanted
from dragoman.core.ask import Ask
from dragoman.core.call import Call, Fetching
from dragoman.core.errors import CallerError, code_of, invalid
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
from dragoman.core.provider import Candidate, Family
from dragoman.core.request import Request
from dragoman.dialects.base import Embodied
from dragoman.dialects.registry import DIALECTS, counter_of

_REFERERS = ("x-image-fetch-referer", "x-image-referer")
MOST_FILLED = 48 * 1024 * 1024
"""Characters of fetched bytes in one request, each place counted: one picture named two hundred times
is two hundred pictures to the provider."""


class Given(Struct, frozen=True):
    """A caller's request as it is written for a candidate, or passed on to it."""

    request: Request | None
    """None where both speak one family: ``members`` has it then."""
    losses: tuple[Loss, ...] = ()
    size: int = 0
    """Characters of what was fetched."""
    members: dict[str, Raw] | None = None


def passes(call: Call, candidate: Candidate, means: Means) -> bool:
    """Whether it is plain at once that the request is written for the candidate as it came."""
    if means.fetcher is None:
        return True
    if call.dialect == candidate.provider.family:
        return not means.fetched_for
    return embodied_for(call, candidate, by_choice=_is_chosen(candidate, means)) is None


def _is_chosen(candidate: Candidate, means: Means) -> bool:
    """Whether the operator has the provider's pictures fetched here."""
    chosen, provider = means.fetched_for, candidate.provider
    return bool(chosen) and not provider.stub and (provider.name in chosen or "*" in chosen)


class Embodiment(Struct, eq=False):
    """What has been read and fetched for one call."""

    _ask: Ask
    _call: Call
    _means: Means
    _request: Request | None = None
    _found: dict[str, Fetched] = {}
    _failure: CallerError | None = None

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    async def given(self, candidate: Candidate, left_s: float) -> Given | None:
        """The request with bytes, for who does not get it as it came for certain; None: it does.

        Raises:
            CallerError: something cannot be fetched, in whatever time is left.
        """
        fetcher = self._means.fetcher
        assert fetcher is not None, "else it passes"
        if self._call.dialect == candidate.provider.family:
            return await self._passed_on(candidate, fetcher, left_s)
        rules = embodied_for(self._call, candidate, by_choice=_is_chosen(candidate, self._means))
        assert rules is not None, "else it passes"
        request = self._request
        if request is None:
            request = self._request = await self._read()
        wanted = await aside(len(self._ask.body), partial(addresses_in, request, rules))
        if not wanted:
            return Given(request)
        await self._fetch(wanted, fetcher, left_s)
        return await aside(len(self._ask.body), partial(with_bytes, request, rules, self._found))

    async def _passed_on(
        self, candidate: Candidate, fetcher: Fetcher, left_s: float
    ) -> Given | None:
        """The caller's own members with pictures in them, where the operator wants that."""
        family, members = self._call.dialect, self._ask.members
        if not _is_chosen(candidate, self._means) or self._call.operation != "chat":
            return None
        if not may_hold_pictures(family, members):
            return None
        wanted = await aside(len(self._ask.body), partial(_pictures_in, family, members))
        if not wanted:
            return None
        await self._fetch(wanted, fetcher, left_s)
        return await aside(
            len(self._ask.body), partial(_with_pictures, family, members, self._found)
        )

    async def _fetch(self, wanted: tuple[Wanted, ...], fetcher: Fetcher, left_s: float) -> None:
        """Fetches what this call has not fetched yet."""
        missing = tuple(each for each in wanted if each.url not in self._found)
        if not missing:
            return
        if self._failure is not None:
            raise self._failure
        means = self._means
        wall, began = means.wall(), means.monotonic()
        trouble: str | None = "cancelled"
        size = 0
        try:
            async with asyncio.timeout(left_s):
                found = await fetcher.fetch(
                    missing,
                    tenant=self._tenant(),
                    referer=self._referer(),
                    authorization=self._call.headers.get("authorization"),
                )
            self._found |= found
            size, trouble = sum(_bytes_of(each.data) for each in found.values()), None
        except CallerError as error:
            self._failure = error
            trouble = code_of(error)
            raise
        except TimeoutError:
            trouble = "image_fetch_timeout"
            raise invalid(
                f"Nothing was left of the request's time to fetch the {missing[0].kind} at "
                f"{missing[0].at}; send its bytes in base64 instead.",
                missing[0].at,
                trouble,
            ) from None
        finally:
            took = means.monotonic() - began
            told = Fetching(means.new_id(), wall, took, len(missing), size, trouble)
            self._call.fetches += (told,)

    async def _read(self) -> Request:
        if self._call.operation == "count_tokens":
            read = counter_of(self._call.dialect).read_request
        else:
            read = DIALECTS[self._call.dialect].read_request
        return await aside(len(self._ask.body), partial(read, self._ask.body))

    def _tenant(self) -> str:
        caller = self._call.caller
        return "" if caller is None else caller.tenant

    def _referer(self) -> str | None:
        headers = self._call.headers
        return next((headers[name] for name in _REFERERS if headers.get(name)), None)


def _bytes_of(text: str) -> int:
    """How many bytes this base64 stands for."""
    return len(text) * 3 // 4 - text[-2:].count("=")


_PICTURES = Embodied(frozenset({"image"}))


def embodied_for(call: Call, candidate: Candidate, *, by_choice: bool = False) -> Embodied | None:
    """What the candidate gets as bytes alone; None where nothing has to be looked for.

    ``by_choice``: pictures too, though its provider would fetch them itself.
    """
    provider = candidate.provider
    if call.dialect == provider.family or provider.stub:
        return None
    if call.operation not in {"chat", "count_tokens"}:
        return None
    dialect = DIALECTS.get(provider.family)
    if dialect is None:
        return None
    if dialect.embodied is None:
        return _PICTURES if by_choice else None
    return dialect.embodied


def _pictures_in(family: Family, members: dict[str, Raw]) -> tuple[Wanted, ...]:
    found: list[Wanted] = []

    def note(url: str, at: str) -> None:
        found.append(Wanted(url, "image", at))

    pictures(family, members, note)
    return tuple(found)


def _with_pictures(family: Family, members: dict[str, Raw], found: dict[str, Fetched]) -> Given:
    filling = _Filling("fetched here, as the operator has it")

    def fill(url: str, at: str) -> Fetched:
        fetched = found[url]
        filling.add(fetched, at)
        return fetched

    filled = pictures(family, members, fill)
    return Given(None, tuple(filling.losses), filling.size, filled)


class _Filling:
    """What was put into a request so far, and how much of it."""

    def __init__(self, reason: str) -> None:
        self.losses: list[Loss] = []
        self.size = 0
        self._reason = reason

    def add(self, fetched: Fetched, at: str) -> None:
        """One more place has got its bytes."""
        self.size += len(fetched.data)
        if self.size > MOST_FILLED:
            raise invalid(
                f"What is fetched for the request is more than {MOST_FILLED >> 20} MB once it stands "
                "at every place that names it; name less, or each but once.",
                at,
                "image_fetch_too_large",
            )
        self.losses.append(Loss(at, self._reason, "emulated"))


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
    filling = _Filling("fetched here, for the provider takes bytes alone")

    def fill(media: Media, at: str) -> Media:
        fetched = found[cast("Url", media.source).url]
        filling.add(fetched, at)
        return replace(media, kind=fetched.kind, source=Inline(fetched.data, fetched.mime))

    filled = _mapped(request, rules, fill)
    return Given(filled, tuple(filling.losses), filling.size)


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
