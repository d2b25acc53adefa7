"""What a request says of being answered again: an Idempotency-Key, a resumable stream, the cache.

Nearly no request says anything, and then this costs three look-ups of headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from dragoman.core.errors import invalid
from dragoman.reuse.policy import ReusePolicy

KEY = "idempotency-key"
RESUMABLE = "x-dragoman-resumable"
CACHE = "x-dragoman-cache"
LAST_EVENT = "last-event-id"
_YES = frozenset({"true", "1", "yes", "on"})
_NO = frozenset({"false", "0", "no", "off"})
_KEY_FORM = re.compile(r"[\x20-\x7e]{1,255}")
_EVENT_FORM = re.compile(r"([0-9a-f-]{36}):([0-9]{1,10})")


class CacheWish(Struct, frozen=True):
    """What a request says to the cache (RFC 9111, the directives of requests)."""

    reads: bool = True
    """Whether an answer of the cache will do; ``no-cache`` says no."""
    writes: bool = True
    """Whether the answer may be kept in it; ``no-store`` says no."""
    max_age_s: float | None = None
    only: bool = False
    """``only-if-cached``: rather no answer than a new one."""


class Place(Struct, frozen=True):
    """One frame of one stream: a client has it, and all before it."""

    call_id: str
    number: int


class Wish(Struct, frozen=True):
    """What was asked for; at least one of the three."""

    key: str | None = None
    resumable: bool = False
    after: Place | None = None
    """The last frame that the client has."""
    cache: CacheWish | None = None

    @property
    def recorded(self) -> bool:
        """Whether the answer is to outlive the connection that asked for it."""
        return self.key is not None or self.resumable


def read_wish(headers: Mapping[str, str], key_id: str, policy: ReusePolicy) -> Wish | None:
    """What the headers ask for; None where it is nothing.

    Raises:
        CallerError: a header says what cannot be understood.
    """
    key, resumable = headers.get(KEY), headers.get(RESUMABLE)
    cache = _cache(headers, key_id, policy) if policy.cache_s else None
    if key is None and resumable is None:
        return None if cache is None else Wish(cache=cache)
    if key is not None and not _KEY_FORM.fullmatch(key):
        raise invalid(
            "An Idempotency-Key is 1 to 255 visible ASCII characters; make a new UUID for each request.",
            KEY,
            "invalid_idempotency_key",
        )
    wanted = resumable is not None and _is_yes(resumable, RESUMABLE)
    if key is None and not wanted:
        return None if cache is None else Wish(cache=cache)
    return Wish(key, wanted, read_place(headers), cache)


def read_place(headers: Mapping[str, str]) -> Place | None:
    """The frame that ``Last-Event-ID`` names.

    Raises:
        CallerError: it is no id of a frame of ours.
    """
    said = headers.get(LAST_EVENT)
    if not said:
        return None
    found = _EVENT_FORM.fullmatch(said.strip())
    if found is None:
        raise invalid(
            f"Last-Event-ID {said[:80]!r} is no id of an event of this gateway; say the last one that "
            "came, CALL_ID:NUMBER.",
            LAST_EVENT,
            "invalid_last_event_id",
        )
    return Place(found[1], int(found[2]))


def _cache(headers: Mapping[str, str], key_id: str, policy: ReusePolicy) -> CacheWish | None:
    """What is said to the cache; None where it is not asked for, by the operator or the caller."""
    said, control = headers.get(CACHE), headers.get("cache-control")
    if said is None:
        if key_id not in policy.cache_for and "*" not in policy.cache_for:
            return None
    elif not _is_yes(said, CACHE):
        return CacheWish(reads=False, writes=False)
    return CacheWish() if control is None else _directives(control)


def _directives(control: str) -> CacheWish:
    """Directives that are not known are left alone, as the standard has it."""
    names: dict[str, str] = {}
    for part in control.split(","):
        name, _, value = part.partition("=")
        names[name.strip().lower()] = value.strip().strip('"')
    age = names.get("max-age")
    if age is not None and not (age.isascii() and age.isdigit()):
        raise invalid(
            f"cache-control: max-age={age[:20]} is no number of seconds.", "cache-control"
        )
    stored = "no-store" not in names
    return CacheWish(
        reads=stored and "no-cache" not in names,
        writes=stored,
        max_age_s=None if age is None else float(age[:12]),
        only="only-if-cached" in names,
    )


def _is_yes(said: str, header: str) -> bool:
    word = said.strip().lower()
    if word not in _YES | _NO:
        raise invalid(f"{header}: {said[:20]!r} is neither true nor false.", header)
    return word in _YES
