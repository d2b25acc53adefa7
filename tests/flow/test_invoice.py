"""The sum of the ledger is the provider's invoice, to the last digit, whatever goes wrong on the way.

Every dialect of callers, every dialect of providers; streams cut, errors, usage missing, late and twice, cached
tokens, callers who leave at every phase, retries, fallbacks, hedges, and a network that does harm between them.
What nobody has told stays unknown, and is exactly what is missing in the sum.
"""

import asyncio
from random import Random

import pytest

from harness.callers import MANNERS, PHASES, Callers, Wish
from harness.dialects import DIALECTS, PROVIDERS
from harness.faults import KINDS, proxying, seeded
from harness.house import LOUD, named, scene
from harness.verdict import verdict
from ledger_views import QUICK, rows
from servers import KEY, gateway_server, providers_at, until

SETTINGS = {
    "LOG_LEVEL": "warning",
    "BREAKER_FAILURES": "1000000",
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


def chosen(seed, many):
    """Requests that may be served by another than the first: because it fails, or because it is slow."""
    dice = Random(seed)
    broken = ("status-503", "status-429--mock-retry-after-none", "cut-0", "drop-reset", "body-html",
              "error-after-0", "hang")  # fmt: skip
    wishes = []
    for number in range(many):
        caller = dice.choice(["chat", "anthropic", "responses", "gemini", "ollama"])
        first, second = dice.sample(sorted(PROVIDERS.values()), 2)
        if number % 3:
            # The mock's queue has each tenth of these late.
            first, second, model = "openai", "anthropic", "plain"
            routing = {"hedge": True, "fallback": [f"{second}/{named('dear', 'delay-5')}"]}
        else:
            model = named("odd", dice.choice(broken))
            routing = {"fallback": [f"{second}/{named('dear', 'ok')}"]}
        wishes.append(
            Wish(caller, f"{first}/{model}", bool(number % 2), members=(("routing", routing),))
        )
    return wishes


LOOKED_UP = ("usage-off", "usage-off--mock-cut-90", "usage-off--mock-cut-900",
             "usage-off--mock-cut-700--mock-cut-mode-end", "usage-off--mock-cut-1500--mock-cut-mode-reset",
             "usage-off--mock-error-after-4", "usage-off--mock-done-off", "ok")  # fmt: skip
"""Fates of streams whose head arrives, and with it the name by which the provider is asked later."""
LATE_LEAVES = ("head", "middle", "last")
"""Who leaves here has seen an answer's head, so the gateway knows the answer's name."""


def looked_up(times):
    """Answers of a provider that can be asked afterwards, and says nothing of usage at once."""
    slow = named("usual", "usage-off", "chunk-delay-15", "words-9")
    for caller in DIALECTS:
        for number in range(times):
            # Each time models of its own, whose breakers have too little to open at.
            own = f"message-{caller}-{number}"
            for fate in LOOKED_UP:
                yield Wish(caller, f"openrouter/{named('usual', fate, own)}", stream=True)
            yield Wish(caller, f"openrouter/{named('usual', 'usage-off')}", stream=False)
            for phase in (*LATE_LEAVES, "sent"):
                for manner in MANNERS:
                    yield Wish(
                        caller,
                        f"openrouter/{slow}",
                        stream=True,
                        leave=phase,
                        manner=manner,
                        after_s=0.03,
                    )


def models_of(wishes):
    fallbacks = [
        model
        for wish in wishes
        for model in dict(wish.members).get("routing", {}).get("fallback", ())
    ]
    return {model.split("/", 1)[1] for model in [*fallbacks, *(wish.model for wish in wishes)]}


def asking(place, callers, wishes, many=12, **settings):
    """Has a gateway asked for all of it, and ends it in good order."""
    with gateway_server(place.folder, patience_s=60, **{**place.settings, **settings}) as server:
        asyncio.run(callers.all_of(server.port, wishes, many))
        assert server.ask("GET", "/v1/usage").status == 200
        assert server.stop() == 0, server.tail()


@pytest.mark.req("M1", "R-USE-004", "R-USE-008", "R-USE-011")
def test_the_ledger_is_the_invoice_over_every_pair_and_every_fault(tmp_path):
    wishes = everything()
    Random(5).shuffle(wishes)
    with scene(tmp_path, models_of(wishes), **SETTINGS) as place:
        callers = Callers(KEY, 11)
        asking(place, callers, wishes)
        report = verdict(place, callers)
    assert report.answered > 400
    assert {"complete", "upstream_error", "upstream_cut", "timeout"} <= set(report.statuses)
    assert report.served > len(wishes), "some were tried again"
    assert report.open_attempts > 30
    assert report.booked_pico > report.open_pico


@pytest.mark.req("S6", "S7", "S8", "M1", "R-USE-011")
@pytest.mark.parametrize(
    "pairs",
    [
        [(caller, PROVIDERS[caller]) for caller in DIALECTS],
        pytest.param(
            [(caller, provider) for caller in DIALECTS for provider in PROVIDERS.values()],
            marks=[pytest.mark.gate, pytest.mark.timeout(400)],
        ),
    ],
    ids=["five pairs", "every pair"],
)
def test_who_leaves_at_any_phase_is_accounted_once_and_truly(tmp_path, pairs):
    wishes = leavers(pairs)
    with scene(tmp_path, models_of(wishes), **SETTINGS) as place:
        callers = Callers(KEY, 12)
        asking(place, callers, wishes)
        report = verdict(place, callers)
    assert report.heard["left"] == len(wishes)
    assert report.statuses["client_cut"] > len(wishes) // 3
    assert report.open_attempts > len(wishes) // 5


@pytest.mark.req("M1", "S6", "D25", "R-USE-002", "R-USE-011")
@pytest.mark.parametrize(
    "times", [1, pytest.param(40, marks=[pytest.mark.gate, pytest.mark.timeout(600)])]
)
def test_what_can_be_looked_up_is_on_the_ledger_as_on_the_invoice(tmp_path, times):
    """Cut streams and callers who leave cost what the provider charges, too, as soon as it has been asked."""
    wishes = list(looked_up(times))
    Random(7).shuffle(wishes)
    late = {"generationDelay": 300}
    with scene(tmp_path, models_of(wishes), mock_config=late, **SETTINGS | QUICK) as place:
        callers = Callers(KEY, 14)
        with gateway_server(place.folder, patience_s=60, **place.settings) as server:
            asyncio.run(callers.all_of(server.port, wishes, 12))
            assert server.ask("GET", "/v1/usage").status == 200
            calls = len(wishes)
            until(lambda: rows(server, "SELECT COUNT(*) n FROM ledger_requests")[0]["n"] >= calls)
            until(lambda: not rows(server, "SELECT 1 FROM unsettled"), 60 + 2 * times)
            asked = rows(server, "SELECT * FROM ledger_attempts")
            (refused,) = rows(
                server, "SELECT COUNT(*) n FROM ledger_requests WHERE error_code = 'provider_down'"
            )
            assert server.stop() == 0, server.tail()
        report = verdict(place, callers)
    assert refused["n"] == 0, "a breaker kept somebody from what is to be shown"
    named_at_all = [row for row in asked if row["upstream_id"] or row["cost_pico"] is not None]
    assert [row for row in named_at_all if row["cost_pico"] is None] == []
    # All but who left before a head, and was so quick that the gateway had not seen one either.
    nameless = [row for row in asked if row not in named_at_all]
    early = sum(wish.leave == "sent" for wish in wishes)
    assert len(nameless) <= early
    assert report.open_attempts <= len(nameless)
    if not nameless:
        assert report.booked_pico == report.invoiced_pico
    settled = [row for row in asked if row["tokens_from"] == "reconciled"]
    assert len(settled) > (len(wishes) - early) * 3 // 4
    assert {"complete", "client_cut", "upstream_cut", "upstream_error"} <= {
        row["status"] for row in settled
    }


@pytest.mark.req("M1", "U6", "U8", "R-REL-001")
@pytest.mark.parametrize(
    "many", [250, pytest.param(3000, marks=[pytest.mark.gate, pytest.mark.timeout(600)])]
)
def test_retries_fallbacks_and_hedges_are_each_on_the_invoice(tmp_path, many):
    wishes = chosen(3, many)
    settings = {**SETTINGS, "FIRST_EVENT_TIMEOUT_MS": "1500", "HEDGE_SHARE": "1"}
    with scene(tmp_path, models_of(wishes), **settings) as place:
        callers = Callers(KEY, 13)
        late = {"delay": 500, "model": "plain"}
        place.mock.ask(
            "POST", "/mock/script", ([{**late, "delay": 5}] * 9 + [late]) * (many // 10), key=None
        )
        asking(place, callers, wishes)
        report = verdict(place, callers)
    assert report.answered > many // 2
    assert report.statuses["upstream_error"] > many // 10
    assert report.statuses["hedge_lost"] > 0


@pytest.mark.req("M1", "S6", "U8", "U9")
@pytest.mark.parametrize(
    ("many", "seed"),
    [
        (240, 1),
        pytest.param(300, 2, marks=pytest.mark.gate),
        pytest.param(5000, 1, marks=[pytest.mark.gate, pytest.mark.timeout(900)]),
        pytest.param(5000, 2, marks=[pytest.mark.gate, pytest.mark.timeout(900)]),
    ],
)
def test_a_network_that_does_harm_on_both_sides_loses_and_doubles_nothing(tmp_path, many, seed):
    dice = Random(seed)
    pairs = [(caller, provider) for caller in DIALECTS for provider in PROVIDERS.values()]
    models = [named("odd", "chunk-delay-2", "words-9"), named("dear", "delay-3"), "plain"]
    wishes = []
    for _ in range(many):
        caller, provider = dice.choice(pairs)
        wishes.append(Wish(caller, f"{provider}/{dice.choice(models)}", dice.random() < 0.6))
    with scene(tmp_path, models, **SETTINGS) as place:
        callers = Callers(KEY, 20 + seed, patience_s=5)
        with (
            proxying(place.mock.port, seeded(seed, 12_000)) as behind,
            gateway_server(
                tmp_path, patience_s=60, **{**place.settings, **providers_at(behind.port)}
            ) as server,
            proxying(server.port, seeded(seed + 100, 15_000)) as before,
        ):
            asyncio.run(callers.all_of(before.port, wishes, 16))
            assert server.ask("GET", "/v1/usage").status == 200
            assert server.stop() == 0, server.tail()
        report = verdict(place, callers, may_lose=True)
    assert set(behind.struck) == set(before.struck) == set(KINDS)
    assert report.answered > many // 2
    # Cut off just between an answer's end and its usage: some bytes of some thousand.
    assert report.untold <= max(3, many // 500)
    assert len(report.statuses) > 3
