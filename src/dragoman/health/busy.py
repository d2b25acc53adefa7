"""How many requests are under way at each provider's models: what `least-busy` chooses by."""

from __future__ import annotations


class Busy:
    """The counts; a model with nothing under way has no entry, so that foreign names leave none."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}

    def begun(self, provider: str, model: str) -> None:
        """A request sets out."""
        key = (provider, model)
        self._counts[key] = self._counts.get(key, 0) + 1

    def over(self, provider: str, model: str) -> None:
        """It is over, whichever way it went."""
        key = (provider, model)
        left = self._counts.pop(key, 0) - 1
        if left > 0:
            self._counts[key] = left

    def of(self, provider: str, model: str) -> int:
        """Requests under way."""
        return self._counts.get((provider, model), 0)

    def all(self) -> dict[tuple[str, str], int]:
        """Requests under way, by provider and model; a copy."""
        return dict(self._counts)
