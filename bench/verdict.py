"""The bars of the design, with what a run reached."""

from __future__ import annotations

from statistics import median

from bars import Bar, added_us, drift, share_bar
from gateway import SAME, TRANSLATED
from lanes import DIRECT, NGINX
from report import Report


def judge(report: Report) -> list[Bar]:
    """The bars of the design, with what this run reached."""
    whole = report.rounds.get("whole-32", {})
    same, translated = whole.get(SAME, []), whole.get(TRANSLATED, [])
    single = report.of("whole-1", SAME)
    p50, p99 = added_us(single, report.of("whole-1", DIRECT)) if single else (None, None)
    chunk = {
        way: median(held.cpu_us_per_chunk for held in found)
        for way, found in report.chunks.items()
    }
    flat = report.flat
    wrong = sum(
        one.wrong
        for ways in report.rounds.values()
        for way in (SAME, TRANSLATED)
        for one in ways.get(way, [])
    )
    bars = [
        share_bar("whole, same dialect, of nginx", same, whole.get(NGINX, []), 0.10),
        share_bar("whole, translated, of same dialect", translated, same, 0.6),
        Bar("one connection: added at p50", p50, 250, unit=" µs"),
        Bar("one connection: added at p99", p99, 1000, unit=" µs"),
        Bar("CPU per relayed chunk, same dialect", chunk.get(SAME), 35, unit=" µs"),
        Bar("CPU per relayed chunk, translated", chunk.get(TRANSLATED), 60, unit=" µs"),
        Bar(f"memory with {report.many_streams:,} streams", report.many_mb, 350, unit=" MB"),
        Bar("start to /ready", median(report.start_s) if report.start_s else None, 1.5, unit=" s"),
        Bar("idle memory", report.idle_mb, 120, unit=" MB"),
        Bar(
            f"memory drift over {flat.get('requests', 0):,.0f} requests",
            drift(flat["before"], flat["after"]) if flat else None,
            5,
            unit=" %",
        ),
        Bar("wrong answers", wrong, 0),
        Bar(
            "answered requests that the ledger lacks",
            max(0, report.ledger["answered"] - report.ledger["written"])
            if report.ledger
            else None,
            0,
        ),
    ]
    for name, times in (("LiteLLM", 60), ("Portkey", 6)):
        theirs = report.of(f"{name}-whole-32", f"{name}, same dialect")
        if theirs:
            ours = report.of(f"{name}-whole-32", SAME)
            bars.append(share_bar(f"whole, times {name}", ours, theirs, times))
    return bars
