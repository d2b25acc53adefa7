"""kill -9 under load, at random and at named points: nothing is lost, nothing is double, every number is true.

Callers of all dialects ask; the gateway dies, again and again; then callers' log, provider's truth, journals and
ledger are held against each other (``harness/check.py``).
"""

import asyncio
import os

import pytest

from databases import a_database
from harness.callers import Callers, Wish, every
from harness.check import check
from harness.crashes import kill_all, settle
from harness.dialects import DIALECTS, PROVIDERS
from harness.evidence import History, add_postgres, add_sqlite
from harness.house import named, scene, usd
from harness.points import WHOLE
from servers import KEY

KILLS = int(os.environ.get("DRAGOMAN_TEST_KILLS", "200"))
"""Of the long run; fewer for a look."""
SETTINGS = {
    "LOG_LEVEL": "warning",
    "USAGE_FLUSH_INTERVAL": "0.2",
    "BREAKER_FAILURES": "1000000",
}
MODELS = (
    named("odd", "delay-2"),
    named("odd", "cached-3"),
    named("dear", "chunk-delay-1", "words-9"),
    named("plain", "status-500"),
    named("odd", "cut-1500"),
    named("plain", "usage-off"),
)


def wishes():
    """All pairs; one in ten leaves in the middle, and those that fail are fewer than those that do not."""
    asked = [
        Wish(caller, f"{provider}/{model}", stream, leave=leave)
        for caller in DIALECTS
        for provider in PROVIDERS.values()
        for model in (*MODELS[:3] * 3, *MODELS[3:])
        for stream in (False, True)
        for leave in (None,) * 9 + ("middle" if stream else "sent",)
        if not (provider == "ollama" and "cached" in model)
    ]
    return every(asked)


def judge(place, callers, history, lives):
    """The verdict of the checker; its figures are printed, to be read."""
    told = place.history()
    history.heard, history.served, history.left_over = callers.heard, told.served, told.left_over
    report = check(history)
    assert not report.findings, str(report)
    assert report.booked_pico + report.open_pico == report.invoiced_pico, str(report)
    # Points that broke the calls they stand beside would have the gateway die with nothing to lose.
    assert report.statuses["house_error"] == 0, str(report)
    print(  # noqa: T201
        f"{lives.kills} kills in {lives.seconds:.0f} s, at points {dict(lives.reached)}; "
        f"{report.answered} answered; ledger {usd(report.booked_pico)} of {usd(report.invoiced_pico)} USD; "
        f"lost {report.count('lost')}, double {report.count('double')}; {report}"
    )
    return report


def crash(folder, kills, seed, **more):
    """Kills gateways on SQLite; the report."""
    with scene(folder, MODELS, **SETTINGS) as place:
        callers, history = Callers(KEY, seed, patience_s=5), History()
        lives = kill_all(place, history, callers, wishes(), kills=kills, **more)
        settle(place)
        add_sqlite(history, place.home / "dragoman.db")
        report = judge(place, callers, history, lives)
    assert lives.kills >= kills
    assert report.heard["lost"] >= kills // 2, "callers were there when it died"
    assert report.statuses["unknown"] > 0, "something was under way when it died"
    return report, lives


@pytest.mark.req("M1", "M2", "D14", "R-USE-008", "R-USE-013")
def test_kills_under_load_lose_nothing_double_nothing_and_falsify_nothing(tmp_path):
    report, lives = crash(tmp_path, 5, 31)
    assert report.answered > 100
    assert lives.reached


@pytest.mark.gate
@pytest.mark.timeout(1500)
@pytest.mark.req("M1", "M2", "D14", "R-USE-008")
def test_two_hundred_kills_under_load_lose_and_double_nothing_of_ten_thousand_answers(tmp_path):
    report, lives = crash(tmp_path, KILLS, 32, many=24, life_s=(0.4, 1.6), most=200)
    assert report.answered >= 50 * KILLS
    if KILLS >= 200:
        assert set(lives.reached) == set(WHOLE)


@pytest.mark.gate
@pytest.mark.timeout(900)
@pytest.mark.req("M1", "M2")
def test_kills_of_four_workers_and_of_all_at_once_on_postgresql(tmp_path):
    with (
        a_database("postgresql", tmp_path) as url,
        scene(tmp_path, MODELS, DATABASE_URL=url, **SETTINGS) as place,
    ):
        history = History()
        callers = Callers(KEY, 33, patience_s=5)
        lives = kill_all(
            place, history, callers, wishes(), kills=60, workers=4, named=False, life_s=(0.3, 1.2)
        )
        settle(place)
        asyncio.run(add_postgres(history, url))
        report = judge(place, callers, history, lives)
    assert lives.kills >= 60
    assert report.answered >= 1000


@pytest.mark.gate
@pytest.mark.timeout(600)
@pytest.mark.req("M1", "M2")
def test_kills_at_every_point_on_postgresql(tmp_path):
    with (
        a_database("postgresql", tmp_path) as url,
        scene(tmp_path, MODELS, DATABASE_URL=url, **SETTINGS) as place,
    ):
        history, callers = History(), Callers(KEY, 34, patience_s=5)
        lives = kill_all(place, history, callers, wishes(), kills=44)
        settle(place)
        asyncio.run(add_postgres(history, url))
        report = judge(place, callers, history, lives)
    assert len(lives.reached) > len(WHOLE) * 3 // 4
    assert report.answered >= 500
