"""How providers, their models and our keys there have been doing: counts, and moving averages (R-PROV-003).

One request that is over adds to three places at once: its provider, the model there, the model with that
key. Who chooses by them asks for one place and finds it made; nothing is summed while a request waits.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

Place: TypeAlias = tuple[str, ...]
"""A provider; with a model of it; with the credential, too."""
ALPHA = 0.1
"""Weight of the newest in an average: ten requests are remembered well, forty faintly."""
MOST = 8192
"""Places kept; model names are foreign input."""


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

    def failed(self, now: float) -> None:
        """A request failed through the provider's fault."""
        self.requests += 1
        self.new_requests += 1
        self.failures += 1
        self.new_failures += 1
        self.errors += ALPHA * (1.0 - self.errors)
        self.at = now


class Statistics:
    """The figures of all places."""

    def __init__(self) -> None:
        self.places: dict[Place, Figures] = {}
        self._chains: dict[tuple[str, str, str], tuple[Figures, ...]] = {}
        """Of a model with a key, the three places that its requests add to."""

    def of(self, *place: str) -> Figures | None:
        """The figures of a provider, of a model, or of a model with a key; None: there are none."""
        return self.places.get(place)

    def models_of(self, provider: str) -> list[tuple[str, Figures]]:
        """A provider's models that were used."""
        every = list(self.places.items())
        return [
            (place[1], each) for place, each in every if len(place) == 2 and place[0] == provider
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
        # Spelt out, with no call for each of them: it stands at the end of every request.
        for figures in self._chain((provider, model, credential), known=known):
            figures.requests += 1
            figures.new_requests += 1
            if figures.errors:
                figures.errors -= ALPHA * figures.errors
            figures.at = now
            if first_event_s is not None:
                old = figures.first_event_s
                figures.first_event_s = (
                    first_event_s if old is None else old + ALPHA * (first_event_s - old)
                )
            if reply_s is not None:
                old = figures.reply_s
                figures.reply_s = reply_s if old is None else old + ALPHA * (reply_s - old)
            if tokens_per_s is not None:
                old = figures.tokens_per_s
                figures.tokens_per_s = (
                    tokens_per_s if old is None else old + ALPHA * (tokens_per_s - old)
                )

    def _chain(self, key: tuple[str, str, str], *, known: bool) -> tuple[Figures, ...]:
        chain = self._chains.get(key)
        if chain is None:
            chain = tuple(
                self.places.get(place) or self.made(place) for place in (key[:1], key[:2], key)
            )
            self._chains[key] = chain
        if known and not chain[2].known:
            for figures in chain:
                figures.known = True
        return chain

    def made(self, place: Place) -> Figures:
        """The place, made; the oldest makes room for it."""
        places = self.places
        if len(places) >= MOST:
            # A provider stays: of these there are as many as are configured.
            oldest = next((each for each in places if len(each) > 1), next(iter(places)))
            del places[oldest]
            self._chains.clear()
        figures = places[place] = Figures()
        return figures
