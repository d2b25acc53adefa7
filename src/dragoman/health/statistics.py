"""How providers, their models and our keys there have been doing: counts, and moving averages (R-PROV-003).

One request that is over adds to three places at once: its provider, the model there, the model with that
key. Most are only noted there, and are added up when somebody asks for the place or many wait; what is read
is what it would be had each been added at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import not_
from typing import Any, TypeAlias

from msgspec import Struct, field

from dragoman.health.smooth import MOST as MOST_NEW
from dragoman.health.smooth import Smoothing

Place: TypeAlias = tuple[str, ...]
"""A provider; with a model of it; with the credential, too."""
ALPHA = 0.1
"""Weight of the newest in an average: ten requests are remembered well, forty faintly."""
MOST = 8192
"""Places kept; model names are foreign input."""
Timed: TypeAlias = tuple[float, bool, float, float]
"""When a request was over, whether its reply was whole, its time, and its output tokens a second."""
_SMOOTHING = Smoothing(ALPHA)


class Figures(Struct):
    """What is known of one place."""

    requests: int = 0
    """Tries that ended with an answer or through the provider's fault; others say nothing of it."""
    failures: int = 0
    errors: float = 0.0
    """Share that failed, 0 to 1, as all of these averages smoothed."""
    first_event_s: float | None = None
    """Of streams: to the first content."""
    reply_s: float | None = None
    """Of whole replies: to their end."""
    tokens_per_s: float | None = None
    """Output tokens by all the seconds of their answer."""
    at: float = 0.0
    """When the newest was over, in monotonic seconds."""
    known: bool = False
    """Whether the catalogue knows the model, or one of the provider's; else it is nowhere stored."""
    new_requests: int = 0
    """Of ``requests``, those that the shared record does not have yet."""
    new_failures: int = 0
    timed: list[Timed] = field(default_factory=list)
    """Requests that were answered and are nowhere added yet."""

    def settle(self) -> None:
        """Adds up those that were answered."""
        timed = self.timed
        if not timed:
            return
        count, columns = len(timed), _columns(timed)
        timed.clear()
        over, wholes, times, speeds = columns
        self.requests += count
        self.new_requests += count
        self.errors = _SMOOTHING.faded(self.errors, count)
        self.at = over[-1]
        replies = list(compress(times, wholes))
        firsts = list(compress(times, map(not_, wholes))) if len(replies) < count else ()
        self.reply_s = _SMOOTHING.after(self.reply_s, replies)
        self.first_event_s = _SMOOTHING.after(self.first_event_s, firsts)
        self.tokens_per_s = _SMOOTHING.after(self.tokens_per_s, speeds)

    def answered(
        self,
        now: float,
        first_event_s: float | None,
        reply_s: float | None,
        tokens_per_s: float | None,
    ) -> None:
        """A request was answered to its end."""
        self.settle()
        self.requests += 1
        self.new_requests += 1
        self.errors -= ALPHA * self.errors
        self.at = now
        self.first_event_s = _SMOOTHING.after_one(self.first_event_s, first_event_s)
        self.reply_s = _SMOOTHING.after_one(self.reply_s, reply_s)
        self.tokens_per_s = _SMOOTHING.after_one(self.tokens_per_s, tokens_per_s)

    def failed(self, now: float) -> None:
        """A request failed through the provider's fault."""
        self.settle()
        self.requests += 1
        self.new_requests += 1
        self.failures += 1
        self.new_failures += 1
        self.errors += ALPHA * (1.0 - self.errors)
        self.at = now


_Chain: TypeAlias = tuple[Figures, Figures, Figures]


def _columns(timed: list[Timed]) -> tuple[Any, ...]:
    return tuple(zip(*timed, strict=True))


class Statistics:
    """The figures of all places."""

    def __init__(self) -> None:
        self._places: dict[Place, Figures] = {}
        self._chains: dict[tuple[str, str, str], _Chain] = {}
        """Of a model with a key, the three places that its requests add to."""

    def of(self, *place: str) -> Figures | None:
        """The figures of a provider, of a model, or of a model with a key; None: there are none."""
        figures = self._places.get(place)
        if figures is not None and figures.timed:
            figures.settle()
        return figures

    @property
    def places(self) -> dict[Place, Figures]:
        """All of them; whoever wants one asks ``of``."""
        for figures in self._places.values():
            figures.settle()
        return self._places

    def without(self, providers: Iterable[str]) -> Statistics:
        """The same of all others."""
        kept, gone = Statistics(), frozenset(providers)
        kept._places = {place: each for place, each in self.places.items() if place[0] not in gone}
        return kept

    def models_of(self, provider: str) -> list[tuple[str, Figures]]:
        """A provider's models that were used."""
        return [
            (place[1], each)
            for place, each in self.places.items()
            if len(place) == 2 and place[0] == provider
        ]

    def keys_of(self, provider: str, model: str) -> list[str]:
        """The keys that a model was used with."""
        return [key[2] for key in list(self._chains) if key[:2] == (provider, model)]

    def failed(
        self, provider: str, model: str, credential: str, now: float, *, known: bool
    ) -> None:
        """A request failed through the provider's fault."""
        for figures in self._chain((provider, model, credential), known=known):
            figures.failed(now)

    def answered(
        self,
        provider: str,
        model: str,
        credential: str,
        now: float,
        *,
        known: bool,
        first_event_s: float | None,
        reply_s: float | None,
        tokens_per_s: float | None,
    ) -> None:
        """A request was answered to its end; None: not measured."""
        for figures in self._chain((provider, model, credential), known=known):
            figures.answered(now, first_event_s, reply_s, tokens_per_s)

    def timed(
        self,
        place: tuple[str, str, str],
        now: float,
        time_s: float,
        tokens_per_s: float,
        *,
        whole: bool,
        known: bool,
    ) -> None:
        """The same where all was measured, as it nearly always is: it stands at the end of every request."""
        provider, model, credential = self._chains.get(place) or self._chain(place, known=known)
        if known and not credential.known:
            self._chain(place, known=True)
        note = (now, whole, time_s, tokens_per_s)
        provider.timed.append(note)
        model.timed.append(note)
        timed = credential.timed
        timed.append(note)
        if len(timed) >= MOST_NEW:
            self._settle(place)

    def _settle(self, place: tuple[str, str, str]) -> None:
        for figures in self._chains[place]:
            figures.settle()

    def _chain(self, key: tuple[str, str, str], *, known: bool) -> _Chain:
        chain = self._chains.get(key)
        if chain is None:
            provider, model, credential = (
                self._places.get(place) or self.made(place) for place in (key[:1], key[:2], key)
            )
            chain = self._chains[key] = (provider, model, credential)
        if known and not chain[2].known:
            for figures in chain:
                figures.known = True
        return chain

    def made(self, place: Place) -> Figures:
        """The place, made; the oldest makes room for it."""
        places = self._places
        if len(places) >= MOST:
            # A provider stays: of these there are as many as are configured.
            oldest = next((each for each in places if len(each) > 1), next(iter(places)))
            del places[oldest]
            self._chains.clear()
        figures = places[place] = Figures()
        return figures
