"""The checker finds every fault that is planted, wherever it is planted, and nothing where there is none."""

import copy
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.check import check
from harness.evidence import Attempt, Heard, History, Noted, Request, Served, pico, served_of
from sampling import examples

PROVIDERS = {
    "openai": "openai",
    "google": "gemini",
    "ollama": "ollama",
    "openai-responses": "openai",
}
FAILED = ("upstream_error", "upstream_cut", "timeout", "hedge_lost")


@st.composite
def histories(draw):
    """Calls as a gateway without fault leaves them: served at once, at a later try, failed, left, cut by a death."""
    history = History()
    number = 0
    for at in range(draw(st.integers(1, 8))):
        call, trace, name = f"call-{at}", f"trace-{at}", f"name-{at}"
        ending = draw(st.sampled_from(["whole", "refused", "left", "lost"]))
        tries = draw(st.integers(1, 3))
        made = []
        for place in range(1, tries + 1):
            last = place == tries
            number += 1
            provider = draw(st.sampled_from(sorted(PROVIDERS)))
            serves = last and ending == "whole"
            counts = draw(st.tuples(*[st.integers(1, 10**6)] * 2))
            true = Served(
                number, trace, PROVIDERS[provider], "m", *counts,
                cached=draw(st.integers(0, counts[0])), invoice_pico=draw(st.integers(1, 999)) + 1000 * number,
                told=serves or draw(st.booleans()), whole=serves or draw(st.booleans()),
            )  # fmt: skip
            status = "complete" if serves else "unknown" if last and ending == "lost" else draw(
                st.sampled_from(FAILED)
            )  # fmt: skip
            known = serves or (status != "unknown" and draw(st.booleans()))
            upstream = f"req_mock{number:06d}" if draw(st.booleans()) and known else None
            attempt = Attempt(f"{call}-{place}", call, place, provider, "m", status, upstream)
            if known:
                attempt = replace(
                    attempt, input=true.input, output=true.output, cached=true.cached, tokens_from="reported",
                    cost_pico=true.invoice_pico, cost_from="priced",
                )  # fmt: skip
            made.append(attempt)
            history.served.append(true)
            history.noted.append(
                Noted(attempt.attempt_id, call, status, attempt.input, attempt.output, attempt.cost_pico)
                if status != "unknown" else Noted(attempt.attempt_id, call)
            )  # fmt: skip
        shown = made[-1]
        status = {"whole": "complete", "lost": "unknown", "left": "client_cut"}.get(
            ending, shown.status
        )
        http = {"whole": 200, "refused": 503}.get(ending)
        history.requests.append(
            Request(
                call, name, trace, status, http, tries, shown.input, shown.output, shown.cost_pico
            )
        )
        history.attempts += made
        told = (shown.input, shown.output) if ending == "whole" else (None, None)
        history.heard.append(Heard(name, trace, ending, http, *told))
    sums(history)
    return history


def sums(history):
    rows = history.requests
    history.hours = {
        "requests": len(rows),
        "input_tokens": sum(row.input or 0 for row in rows),
        "output_tokens": sum(row.output or 0 for row in rows),
        "cost_pico": sum(row.cost_pico or 0 for row in rows),
    }


@settings(deadline=None)
@given(histories())
def test_books_that_are_right_are_right(history):
    report = check(history)
    assert report.findings == [], str(report)
    assert report.booked_pico + report.open_pico == report.invoiced_pico
    assert report.answered == sum(heard.end == "whole" for heard in history.heard)


def change(rows, draw, wanted, **members):
    """Changes one of those that are wanted; whether there is one."""
    places = [place for place, row in enumerate(rows) if wanted(row)]
    if not places:
        return False
    place = draw(st.sampled_from(places))
    rows[place] = replace(
        rows[place], **{name: what(rows[place]) for name, what in members.items()}
    )
    return True


def lose_request(history, draw):
    """A call that was answered, or reached the provider, without a row."""
    place = draw(st.integers(0, len(history.requests) - 1))
    gone = history.requests.pop(place)
    history.attempts = [each for each in history.attempts if each.call_id != gone.call_id]
    history.noted = []
    return True


def lose_attempt(history, draw):
    history.attempts.pop(draw(st.integers(0, len(history.attempts) - 1)))
    history.noted = []
    return True


def lose_from_journal(history, draw):
    """Written down, and neither the provider nor a caller knows of it."""
    history.noted.append(Noted(f"gone-{draw(st.integers(0, 9))}", "gone"))
    return True


def double_request(history, draw):
    """The same call under another id, as a replay that is not idempotent leaves it."""
    row = draw(st.sampled_from(history.requests))
    history.requests.append(replace(row, call_id="again"))
    for attempt in [each for each in history.attempts if each.call_id == row.call_id]:
        history.attempts.append(
            replace(attempt, call_id="again", attempt_id=f"again-{attempt.attempt_id}")
        )
    return True


def double_attempt(history, draw):
    history.attempts.append(draw(st.sampled_from(history.attempts)))
    return True


def more(name):
    return {name: lambda row: (getattr(row, name) or 0) + 1}


PLANTED = {
    "a call without its rows": lose_request,
    "an attempt without its row": lose_attempt,
    "a record that never came to the ledger": lose_from_journal,
    "a call twice": double_request,
    "an attempt twice": double_attempt,
    "a token too many in": lambda h, d: change(
        h.attempts, d, lambda row: row.input is not None, **more("input")
    ),
    "a token too many out": lambda h, d: change(
        h.attempts, d, lambda row: row.output is not None, **more("output")
    ),
    "a cached token": lambda h, d: change(
        h.attempts, d, lambda row: row.input is not None, **more("cached")
    ),
    "a last digit": lambda h, d: change(
        h.attempts, d, lambda row: row.cost_pico is not None, **more("cost_pico")
    ),
    "a last digit of a call": lambda h, d: change(
        h.requests, d, lambda row: row.cost_pico is not None, **more("cost_pico")
    ),
    "what was told and is not known": lambda h, d: change(
        h.attempts, d, lambda row: row.status == "complete",
        input=lambda _: None, output=lambda _: None, cost_pico=lambda _: None,
        tokens_from=lambda _: "none", cost_from=lambda _: "none",
    ),
    "a number out of nothing": lambda h, d: change(
        h.attempts, d, lambda row: row.input is None, input=lambda _: 10**9, tokens_from=lambda _: "reported"
    ),
    "a number of nobody's": lambda h, d: change(
        h.attempts, d, lambda row: row.input is not None, tokens_from=lambda _: "none"
    ),
    "another status than its caller's": lambda h, d: change(
        h.requests, d, lambda row: row.http_status is not None, **more("http_status")
    ),
    "answered, and said to have failed": lambda h, d: change(
        h.requests, d, lambda row: row.status == "complete", status=lambda _: "client_cut"
    ),
    "an attempt that is not counted": lambda h, d: change(
        h.requests, d, lambda _: True, **more("attempts")
    ),
    "another number than its caller was told": lambda h, d: change(
        h.heard, d, lambda heard: heard.output is not None, **more("output")
    ),
    "an attempt that the provider never had": lambda h, d: change(
        h.served, d, lambda served: any(
            row.cost_pico == served.invoice_pico for row in h.attempts
        ), model=lambda _: "another",
    ),
    "an invoice of one more": lambda h, d: change(
        h.served, d, lambda served: any(
            row.status == "complete" and row.cost_pico == served.invoice_pico for row in h.attempts
        ), **more("invoice_pico"),
    ),
    "other sums": lambda h, d: h.hours.update(cost_pico=h.hours["cost_pico"] + 1) or True,
    "a call that the sums lack": lambda h, d: h.hours.update(requests=h.hours["requests"] - 1) or True,
    "another record than row": lambda h, d: change(
        h.noted, d, lambda noted: noted.status is not None, **more("cost_pico")
    ),
    "a journal that nobody drained": lambda h, d: h.left_over.append("a.journal") or True,
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_what_is_planted_is_found(fault, data):
    history = data.draw(histories())
    before = copy.deepcopy(history)
    if not PLANTED[fault](history, data.draw):
        return  # nothing in this history can have that fault
    if fault not in {"other sums", "a call that the sums lack"}:
        sums(history)
    report = check(history)
    assert report.findings, (before, history)
    assert str(report.findings[0]) in str(report)


@given(st.decimals(0, 10**6, places=18))
def test_amounts_are_rounded_half_even(usd):
    exact = (usd * 10**12).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert pico(f"{usd:f}") == int(exact)


def test_halves_go_to_the_even():
    assert [
        pico(text) for text in ("0.0000000000005", "0.0000000000015", "0.00000000000050001")
    ] == [0, 2, 1]
    assert pico("3") == 3 * 10**12


def test_a_request_that_was_sent_once_more_is_an_attempt_of_its_own():
    """A connection that proved stale (U15): the provider has seen the request twice, and may charge twice."""
    stale = Attempt(
        "a", "c", 1, "openai", "m", "upstream_error", None, None, None, None, None, "none", None, "none"
    )  # fmt: skip
    row = replace(
        stale, attempt_id="b", number=2, status="complete", input=5, output=6, tokens_from="reported",
        cost_pico=9, cost_from="priced",
    )  # fmt: skip
    first = Served(1, "t", "openai", "m", 5, 6, invoice_pico=9, told=True, whole=True)
    history = History(
        heard=[Heard("n", "t", "whole", 200, 5, 6)],
        served=[first, replace(first, number=2)],
        requests=[Request("c", "n", "t", "complete", 200, 2, 5, 6, 9)],
        attempts=[stale, row],
    )
    report = check(history)
    assert (report.findings, report.open_pico, report.booked_pico) == ([], 9, 9)
    history.attempts, history.requests[0] = [row], replace(history.requests[0], attempts=1)
    assert check(history).count("lost") == 1
    history.served[0] = replace(first, answered=False)
    assert check(history).count("lost") == 1, "whether or not the provider has answered"


def test_of_the_truth_logs_lines_the_last_one_holds():
    line = {
        "id": "req_mock000007", "method": "POST", "path": "/gemini/v1beta/models/m:x", "trace": "t", "model": "m",
        "input": 3, "output": 0, "cached": 1, "cache_write": 0, "invoice": "0.000003", "told": False,
        "whole": False, "status": 200,
    }  # fmt: skip
    last = {**line, "output": 4, "invoice": "0.0000055", "told": True, "whole": True}
    (served,) = served_of([line, {**line, "method": "GET", "id": "other"}, last])
    assert (served.number, served.provider, served.output, served.invoice_pico) == (
        7,
        "gemini",
        4,
        5_500_000,
    )


@pytest.mark.parametrize(
    ("provider", "harmed", "found"),
    [("openai", True, 0), ("openai", False, 3), ("anthropic", True, 3)],
)
def test_usage_may_be_cut_off_behind_an_answers_end_and_nowhere_else(provider, harmed, found):
    history = History(harmed=harmed)
    history.served.append(
        Served(1, "t", provider, "m", 9, 40, invoice_pico=5, told=True, whole=True)
    )
    history.requests.append(Request("c", "r", "t", "complete", 200, 1))
    history.attempts.append(Attempt("a", "c", 1, provider, "m", "complete"))
    report = check(history)
    assert report.count("unknown") == found
    assert report.untold == (not found)
    assert (report.booked_pico, report.open_pico) == (0, 5), "it is open either way"
