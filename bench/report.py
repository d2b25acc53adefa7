"""A run's figures as they are printed and as they are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bars import Bar
from hold import Held
from measures import Round, Rounds, middle


@dataclass
class Report:
    """Everything that a run has found so far."""

    machine: dict[str, Any]
    quick: bool
    when: str
    commit: str | None
    seconds: float = 0.0
    load: dict[str, float | None] = field(default_factory=dict)
    start_s: list[float] = field(default_factory=list)
    idle_mb: float | None = None
    many_mb: float | None = None
    many_streams: int = 0
    ledger: dict[str, int] = field(default_factory=dict)
    """How many requests were answered, and how many the ledger holds."""
    flat: dict[str, float] = field(default_factory=dict)
    rounds: dict[str, Rounds] = field(default_factory=dict)
    """``whole-32``, ``streams-32``, ``whole-1``, ``streams-1``, ``peers-…``: way → rounds."""
    chunks: dict[str, list[Held]] = field(default_factory=dict)
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, what: str, way: str) -> list[Round]:
        return self.rounds.get(what, {}).get(way, [])

    def kept(self) -> dict[str, Any]:
        """The run as JSON."""
        return {
            "format": 1,
            "when": self.when,
            "commit": self.commit,
            "quick": self.quick,
            "seconds": round(self.seconds, 1),
            "machine": self.machine,
            "load_per_s": self.load,
            "start_s": [round(value, 3) for value in self.start_s],
            "memory_mb": {
                "idle": self.idle_mb,
                f"with_{self.many_streams}_streams": self.many_mb,
                **self.flat,
            },
            "ledger": self.ledger,
            "rates": {
                what: {
                    way: {
                        "median": _rounded(asdict(middle(found))),
                        "rounds": [_rounded(asdict(one)) for one in found],
                    }
                    for way, found in ways.items()
                }
                for what, ways in self.rounds.items()
            },
            "chunks": {
                way: [{**asdict(one), "cpu_us_per_chunk": one.cpu_us_per_chunk} for one in found]
                for way, found in self.chunks.items()
            },
            "peers": self.peers,
            "bars": [{**asdict(bar), "held": bar.held} for bar in self.bars],
            "notes": self.notes,
        }


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in figures.items()
    }


def rates_table(title: str, ways: Rounds) -> str:
    """Requests a second, latency and CPU of each way; medians of the rounds."""
    head = f"{'':28}{'per s':>10}{'p50 µs':>10}{'p99 µs':>10}{'CPU µs':>9}{'answers':>10}"
    lines = [f"\n{title}", head]
    for way, found in ways.items():
        one = middle(found)
        wrong = f"  {one.wrong} WRONG" if one.wrong else ""
        lines.append(
            f"{way:28}{one.per_s:>10,.0f}{one.p50_us:>10,.0f}{one.p99_us:>10,.0f}"
            f"{one.cpu_us:>9,.1f}{one.answered:>10,}{wrong}"
        )
    return "\n".join(lines)


def chunks_table(title: str, ways: dict[str, list[Held]]) -> str:
    """What a relayed chunk costs on each way."""
    lines = [f"\n{title}", f"{'':28}{'streams':>10}{'chunks/s':>10}{'CPU µs/chunk':>14}{'MB':>9}"]
    for way, found in ways.items():
        one = sorted(found, key=lambda held: held.cpu_us_per_chunk)[len(found) // 2]
        odd = f"  {one.wrong} wrong, {one.lost} lost" if one.wrong or one.lost else ""
        lines.append(
            f"{way:28}{one.begun:>10,}{one.chunks / one.seconds:>10,.0f}"
            f"{one.cpu_us_per_chunk:>14,.1f}{one.memory_mb:>9,.0f}{odd}"
        )
    return "\n".join(lines)
