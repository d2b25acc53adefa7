"""What a scene has come to, once its gateway has ended in good order."""

from __future__ import annotations

from harness.callers import Callers
from harness.check import Report, check
from harness.evidence import add_sqlite
from harness.house import Scene, usd


def verdict(place: Scene, callers: Callers, *, may_lose: bool = False) -> Report:
    """The report, of books that are right; ``may_lose``: the network has done harm to callers as well."""
    history = place.history()
    history.heard = callers.heard
    history.harmed = may_lose
    add_sqlite(history, place.home / "dragoman.db")
    report = check(history)
    assert not report.findings, str(report)
    assert may_lose or not report.heard["lost"], str(report)
    assert report.booked_pico + report.open_pico == report.invoiced_pico, str(report)
    print(f"invoice {usd(report.invoiced_pico)} USD; {report}")  # noqa: T201 - figures to be read
    return report
