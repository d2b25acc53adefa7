"""The sum of the ledger is the provider's invoice, to the last digit, whatever goes wrong on the way.

Every dialect of callers, every dialect of providers; streams cut, errors, usage missing, late and twice, cached
tokens, callers who leave at every phase, retries, fallbacks, hedges, and a network that does harm between them.
What nobody has told stays unknown, and is exactly what is missing in the sum.
"""

import asyncio
from random import Random

import pytest

from harness.callers import MANNERS, PHASES, Callers, Wish
from harness.check import check
from harness.dialects import DIALECTS, PROVIDERS
from harness.evidence import add_sqlite
from harness.house import LOUD, named, scene, usd
from servers import KEY, gateway_server

SETTINGS = {
    "LOG_LEVEL": "warning",
    "BREAKER_FAILURES": "1000000",
    "BREAKER_WINDOW_MIN": "1000000",
    "STREAM_IDLE_TIMEOUT_MS": "800",
    "FIRST_EVENT_TIMEOUT_MS": "3000",
    "USAGE_FLUSH_INTERVAL": "0.5",
}
WHOLE = ("ok", "status-500", "status-400", "status-429--mock-retry-after-none", "body-garbage", "usage-off",
         "body-empty", "content-length-40", "drop-close", "drop-reset", "status-503--mock-times-1")  # fmt: skip
"""Fates of whole replies."""
STREAMS = ("ok", "usage-off", "usage-told-twice", "usage-delay-60", "error-after-4", "error-after-0", "cut-0",
           "cut-90", "cut-1500", "cut-3000--mock-cut-mode-reset", "cut-700--mock-cut-mode-end", "done-off",
           "hang-after-5", "slice-5", "drop-reset", "status-529--mock-times-1", "status-500")  # fmt: skip
"""Fates of streams."""
CHAT_ONLY = ("usage-told-growing", "usage-told-behind")
COSTLY = {"hang-after-5"}
"""Fates that somebody waits for."""


def asked(fates, *, stream, pairs, base="odd"):
    """One request of each fate over each pair of dialects; a model that counts its times is asked once."""
    for number, (caller, provider, fate) in enumerate(
        (caller, provider, fate) for caller, provider in pairs for fate in fates
    ):
        own = named(base, fate, f"error-code-{caller}-{number}" if "times" in fate else "ok")
        yield Wish(caller, f"{provider}/{own}", stream)


def everything():
    """The requests of the short form, and the models that they name."""
    pairs = [(caller, provider) for caller in DIALECTS for provider in PROVIDERS.values()]
    wishes = [*asked(WHOLE, stream=False, pairs=pairs), *asked(STREAMS, stream=True, pairs=pairs)]
    chats = [(caller, "openai") for caller in DIALECTS]
    wishes += asked(CHAT_ONLY, stream=True, pairs=chats)
    loud = [(caller, provider) for caller in ("chat", "anthropic") for provider in LOUD]
    for fate in ("cached-3", "thinking-hm", "ok"):
        cached = [*loud, *(pair for pair in pairs if pair[1] != "ollama" or "cached" not in fate)]
        wishes += asked((fate,), stream=True, pairs=cached)
        wishes += asked((fate,), stream=False, pairs=cached)
    written = [(caller, "anthropic") for caller in DIALECTS]
    for stream in (False, True):
        wishes += asked(("cached-2--mock-cache-write-3",), stream=stream, pairs=written)
    return wishes


def leavers(pairs):
    """Callers who leave, at every phase and in every manner."""
    slow = named("odd", "chunk-delay-15", "delay-30", "words-4")
    return [
        Wish(caller, f"{provider}/{slow}", stream, leave=phase, manner=manner, after_s=after_s)
        for caller, provider in pairs
        for stream in (False, True)
        for phase in PHASES
        for manner in (*MANNERS, "half")
        for after_s in ((0.0, 0.02, 0.08) if phase == "sent" else (0.0,))
        if stream or phase not in {"middle", "last"}
    ]


def models_of(wishes):
    return {wish.model.split("/", 1)[1] for wish in wishes}


def asking(place, callers, wishes, many=12, **settings):
    """Has a gateway asked for all of it, and ends it in good order."""
    with gateway_server(place.folder, **{**place.settings, **settings}) as server:
        asyncio.run(callers.all_of(server.port, wishes, many))
        assert server.ask("GET", "/v1/usage").status == 200
        assert server.stop() == 0, server.tail()


def verdict(place, callers):
    history = place.history()
    history.heard = callers.heard
    add_sqlite(history, place.home / "dragoman.db")
    report = check(history)
    assert not report.findings, str(report)
    assert not report.heard["lost"], str(report)
    assert report.booked_pico + report.open_pico == report.invoiced_pico, str(report)
    print(f"invoice {usd(report.invoiced_pico)} USD; {report}")  # noqa: T201 - figures to be read
    return report


@pytest.mark.req("M1", "R-USE-004", "R-USE-008", "R-USE-011")
def test_the_ledger_is_the_invoice_over_every_pair_and_every_fault(tmp_path):
    wishes = everything()
    Random(5).shuffle(wishes)
    with scene(tmp_path, models_of(wishes), **SETTINGS) as place:
        callers = Callers(KEY, 11)
        asking(place, callers, wishes)
        report = verdict(place, callers)
    assert report.answered > 500
    assert {"complete", "upstream_error", "upstream_cut", "timeout"} <= set(report.statuses)
    assert report.served > len(wishes), "some were tried again"
    assert report.open_attempts > 30
    assert report.booked_pico > report.open_pico
