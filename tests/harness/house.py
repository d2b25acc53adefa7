"""A gateway with prices for everything that is asked of it, in front of a provider that keeps the truth.

Fates of requests travel in the models' names, as the mock reads them there; each name has its price in the
gateway's file and the same in the mock's own, which adds it up by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from harness.dialects import PROVIDERS
from harness.evidence import History, add_left_over, add_truth, noted_in
from servers import Server, mock_server, providers_at

RATES = {
    "plain": {"input": "0.15", "output": "0.6"},
    "odd": {
        "input": "0.333333",
        "output": "1.777777",
        "cacheRead": "0.0333337",
        "cacheWrite": "0.41",
    },
    "dear": {"input": "15", "output": "75", "cacheRead": "1.5", "cacheWrite": "18.75"},
    "usual": {"input": "1", "output": "1"},
}
"""USD per million tokens by the model's first name; the odd ones do not end at 10⁻¹² USD a token.

The usual is what the mock tells whoever looks an answer up, whatever its price list says.
"""
SPELLED = {"cacheRead": "cache_read", "cacheWrite": "cache_write"}
LOUD = ("openai", "groq", "openrouter", "mistral", "deepseek", "xai")
"""Providers of the chat dialect that tell of usage each in its own way."""


def named(base: str, *fates: str) -> str:
    """A model's name with its fates: ``named("odd", "cut-400")``."""
    return base + "".join(f"--mock-{fate}" for fate in fates)


def table(models: Iterable[str], providers: Iterable[str] = ()) -> str:
    """The gateway's file: a price for each model at each provider."""
    lines = ["format = 1"]
    for model in sorted(set(models)):
        rates = RATES[model.partition("--")[0]]
        for provider in sorted({*PROVIDERS.values(), *LOUD, *providers}):
            lines.append(f'[prices."{provider}/{model}"]')
            lines += [f'{SPELLED.get(name, name)} = "{rate}"' for name, rate in rates.items()]
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class Scene:
    """Where it happens: the mock, its truth, the gateway's home and settings."""

    mock: Server
    folder: Path
    truth: Path
    settings: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def journal(self) -> Path:
        return self.home / "journal"

    def history(self) -> History:
        """What the provider saw, and what is left of journals."""
        history = History()
        add_truth(history, self.truth)
        add_left_over(history, self.journal)
        return history

    def note(self, history: History) -> None:
        """Reads the journals of a process that has just died, before another drains them."""
        known = {each.attempt_id: each for each in history.noted}
        for each in noted_in(self.journal):
            if known.get(each.attempt_id) is None or known[each.attempt_id].status is None:
                known[each.attempt_id] = each
        history.noted = list(known.values())


@contextmanager
def scene(
    folder: Path,
    models: Iterable[str],
    *,
    more: str = "",
    mock_config: dict[str, object] | None = None,
    **settings: str,
) -> Iterator[Scene]:
    """A mock with its prices and its truth log, and the settings of gateways in front of it."""
    truth = folder / "truth.jsonl"
    with mock_server(folder, MOCK_TRUTH_FILE=str(truth)) as mock:
        config = {"prices": RATES, **(mock_config or {})}
        told = mock.ask("POST", "/mock/config", config, key=None)
        assert told.status == 200, told.body
        file = folder / "dragoman.toml"
        file.write_text(table(models) + more.replace("MOCK", mock.url))
        yield Scene(
            mock,
            folder,
            truth,
            {**providers_at(mock.port), "DRAGOMAN_CONFIG": str(file), **settings},
        )


def usd(pico: int) -> str:
    """An amount as people read it."""
    return f"{Decimal(pico).scaleb(-12):f}"


def told_by(mock: Server) -> list[dict]:
    """The provider's requests, as it tells them itself."""
    return json.loads(mock.ask("GET", "/mock/truth", key=None).body)["requests"]
