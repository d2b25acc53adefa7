"""Prometheus metrics under the names of R-OBS-001, with labels that stay few.

``model`` is the id if the catalogue knows it, else ``other`` (D12): no caller can make series.
What a request adds is noted in a list of those that have ended alike (``alike.py``), for it stands on
the data path (prometheus_client's own counters take a lock and 1 µs each); the library
makes the text of the numbers when it is asked for. They are read and written in the event loop alone:
a thread gets a copy.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from dragoman.core.call import NO_FAILURE, STALE, Attempt, Call, Outcome
from dragoman.core.timing import shares_of
from dragoman.telemetry.alike import MOST, Alike
from dragoman.telemetry.exposition import Moment, text_of
from dragoman.telemetry.gen_ai import DURATION_BUCKETS, operation_of
from dragoman.telemetry.numbers import (
    OVERHEAD_BUCKETS,
    End,
    Histogram,
    Numbers,
    Served,
    Spoken,
    Standing,
    decode_numbers,
    encode_numbers,
    histogram,
)
from dragoman.telemetry.siblings import Siblings

MOST_ERROR_WORDS = 64
"""Different words for errors in labels; further ones are ``other``."""
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,47}")


class Metrics:
    """The numbers of one process, or with ``siblings`` of all workers of one gateway."""

    def __init__(self, siblings: Siblings | None = None) -> None:
        self.active = 0
        """Requests under way."""
        self.sockets = 0
        """WebSockets that are open."""
        self.breakers: dict[str, int] = {}
        """Provider → 0 closed, 1 open, 2 half-open; the worst of its breakers."""
        self.scores: dict[str, float] = {}
        """Provider → 0 to 100, how well it has been doing."""
        self.disabled: dict[str, int] = {}
        """Provider → 1 where it is disabled, else 0."""
        self.models_off: dict[str, int] = {}
        """Provider → how many of its models are disabled."""
        self.shared_state = "none"
        """Redis: none, up or down."""
        self.limits_kept = "memory"
        """Where limits are counted: memory, host, redis, or alone."""
        self.usage_failures = 0
        """Ledger batches that had to be tried again."""
        self.usage_refused = 0
        """Calls whose rows the database does not take; they stay in the journal."""
        self.queues: dict[str, int] = {}
        """What waits, by the name of the queue."""
        self.lost: dict[str, int] = {}
        """What found no room there, or was not taken."""
        self.spans_sent: int | None = None
        """None where no traces are made."""
        self.budgets: dict[tuple[str, str], Standing] = {}
        """Budget and stretch → how it stands; whoever keeps the budgets keeps it."""
        self.budget_refusals: dict[str, int] = {}
        self._budget_alerts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._served: dict[tuple[str, str], Served] = {}
        self._spoken: dict[tuple[str, str, str], Spoken] = {}
        self._overhead: dict[bool, Histogram] = {}
        self._alike: dict[tuple[str | bool | int, ...], Alike] = {}
        self._attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._fallbacks: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._decisions: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._error_words: set[str] = set()
        self.reconciled: dict[tuple[str, str], int] = {}
        self.alerts: dict[str, int] = {}
        self.alerts_untaken = 0
        self.drift: dict[tuple[str, str, str], float] = {}
        self._limited: defaultdict[str, int] = defaultdict(int)
        self.siblings = siblings

    def numbers(self) -> Numbers:
        """This process's own numbers, as they stand; not a copy."""
        for alike in self._alike.values():
            alike.add_up()
        return Numbers(
            active=self.active,
            sockets=self.sockets,
            breakers=self.breakers,
            scores=self.scores,
            disabled=self.disabled,
            models_off=self.models_off,
            usage_failures=self.usage_failures,
            usage_refused=self.usage_refused,
            served=self._served,
            spoken=self._spoken,
            overhead=self._overhead,
            attempts=self._attempts,
            fallbacks=self._fallbacks,
            decisions=self._decisions,
            queues=self.queues,
            lost=self.lost,
            spans_sent=self.spans_sent,
            limited=self._limited,
            budget_refusals=self.budget_refusals,
            budget_alerts=self._budget_alerts,
            budgets=self.budgets,
            reconciled=self.reconciled,
            alerts=self.alerts,
            alerts_untaken=self.alerts_untaken,
            drift=self.drift,
        )

    def publish(self) -> None:
        """Writes the numbers where the sibling workers find them."""
        if self.siblings is not None:
            self.siblings.write(encode_numbers(self.numbers()))

    def _all(self) -> tuple[Numbers, list[int]]:
        own = self.numbers()
        if self.siblings is None:
            return own, []
        return _summed(encode_numbers(own), self.siblings)

    def all_numbers(self) -> Numbers:
        """The numbers of all workers of this gateway."""
        return self._all()[0]

    def limited(self, limit: str) -> None:
        """A request was refused by this limit."""
        self._limited[limit] += 1

    def alarmed(self, budget: str, window: str, share: int) -> None:
        """The operator was told that a budget has reached a share of millionths."""
        self._budget_alerts[budget, window, f"{share / 1_000_000:g}"] += 1

    def finished(self, call: Call, duration_s: float) -> None:
        """A request is over."""
        outcome = call.outcome
        one = outcome.standing
        if (
            one is None
            or outcome.error_code is not None
            or outcome.attempts != [one]
            or one.cost_from == "estimated"
        ):
            self._finished_oddly(call, duration_s)
            return
        key = (
            one.provider,
            outcome.label_model,
            one.label,
            one.status,
            outcome.http_status,
            outcome.stream,
            call.route,
            call.operation,
            call.dialect,
        )
        alike, took = self._alike.get(key), one.duration_s
        if alike is None and one.status in NO_FAILURE:
            alike = self._alike[key] = self._alike_of(call, one)
        if alike is None or took is None:
            self._finished_oddly(call, duration_s)
            return
        plan = outcome.plan
        if plan is not None and plan.strategy is not None:
            self._decided(outcome)
        waiting = alike.waiting
        # What is ours of it is what ``shares_of`` says of a call with one attempt.
        ours = duration_s - call.read_s - (one.answered_s or took) - outcome.paused_s
        waiting.append(
            (duration_s, ours if ours > 0 else 0.0, one.first_event_s, took, one.usage, one.cost)
        )
        if len(waiting) >= MOST:
            alike.add_up()

    def _alike_of(self, call: Call, one: Attempt) -> Alike:
        """Where a request with one try that went well is counted."""
        outcome, spoken = call.outcome, self._spoken_of(call, one)
        return Alike(
            self._of(outcome),
            End(outcome.http_status, call.route, "", outcome.stream),
            self._overhead_of(outcome.stream),
            spoken,
            _took(spoken, ""),
            self._attempts,
            (one.provider, one.status),
        )

    def _finished_oddly(self, call: Call, duration_s: float) -> None:
        """A request is over that had no try, or several, or went wrong."""
        outcome = call.outcome
        error = "" if outcome.error_code is None else self._error_word(outcome.error_code)
        served = self._of(outcome)
        end = End(outcome.http_status, call.route, error, outcome.stream)
        served.ends[end] = served.ends.get(end, 0) + 1
        served.duration.observe(duration_s)
        ours = shares_of(call, call.received + duration_s)[0]
        self._overhead_of(outcome.stream).observe(ours)
        self._decided(outcome)
        self._consume(call, served)

    def _decided(self, outcome: Outcome) -> None:
        plan = outcome.plan
        if plan is not None and plan.strategy is not None and plan.candidates:
            self._decisions[plan.strategy, plan.candidates[0].provider.name] += 1

    def _overhead_of(self, streaming: bool) -> Histogram:  # noqa: FBT001  a label, no switch
        found = self._overhead.get(streaming)
        if found is None:
            found = self._overhead[streaming] = histogram(OVERHEAD_BUCKETS)
        return found

    def _of(self, outcome: Outcome) -> Served:
        attempt = outcome.served
        key = ("none", "none") if attempt is None else (attempt.provider, outcome.label_model)
        served = self._served.get(key)
        if served is None:
            served = self._served[key] = Served()
        return served

    def consumed(self, call: Call) -> None:
        """What the attempts of a request came to; its own end is told apart where it left before."""
        self._consume(call, self._of(call.outcome))

    def _consume(self, call: Call, served: Served) -> None:
        outcome = call.outcome
        attempt = outcome.served
        if attempt is None:
            return
        before: Attempt | None = None
        for one in outcome.attempts:
            # One that was repeated for free is nobody's failure (U15).
            word = STALE if one.error_code == STALE else one.status
            self._attempts[one.provider, word] += 1
            if before is not None and (before.provider, before.model) != (one.provider, one.model):
                self._fallbacks[before.provider, one.provider] += 1
            self._speak(call, one)
            if one is not attempt and (one.usage is not None or one.cost is not None):
                # A try that did not answer may have cost something all the same.
                _spend(self._served.setdefault((one.provider, one.label), Served()), one)
            before = one
        if attempt.first_event_s is not None:
            served.first_token.observe(attempt.first_event_s)
        _spend(served, attempt)

    def _speak(self, call: Call, attempt: Attempt) -> None:
        """One try, in the words of the conventions for generative AI."""
        spoken = self._spoken_of(call, attempt)
        error = ""
        if attempt.status not in NO_FAILURE:
            error = self._error_word(attempt.error_code or attempt.error_kind or attempt.status)
        took = _took(spoken, error)
        took.observe(attempt.duration_s or 0.0)
        if call.outcome.stream and attempt.first_event_s is not None:
            spoken.first_chunk.observe(attempt.first_event_s)
        usage = attempt.usage
        if usage is not None:
            if usage.input is not None:
                spoken.input.observe(usage.input)
            if (output := usage.billed_output) is not None:
                spoken.output.observe(output)

    def _spoken_of(self, call: Call, attempt: Attempt) -> Spoken:
        key = (operation_of(call), attempt.provider, attempt.label)
        spoken = self._spoken.get(key)
        if spoken is None:
            spoken = self._spoken[key] = Spoken()
        return spoken

    def _error_word(self, code: str) -> str:
        """A label: providers have codes of their own, and could make series with them."""
        words = self._error_words
        if code in words:
            return code
        if len(words) < MOST_ERROR_WORDS and _WORD.fullmatch(code):
            words.add(code)
            return code
        return "other"

    def gathered(self) -> Callable[[], bytes]:
        """What makes this moment's text in Prometheus' form, in whichever thread."""
        own = encode_numbers(self.numbers())
        return partial(_text, own, self.siblings, self.shared_state, self.limits_kept)

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return self.gathered()()


def _text(own: bytes, siblings: Siblings | None, shared_state: str, limits_kept: str) -> bytes:
    numbers, workers = (decode_numbers(own), []) if siblings is None else _summed(own, siblings)
    return text_of(Moment(numbers, workers, shared_state, limits_kept))


def _summed(own: bytes, siblings: Siblings) -> tuple[Numbers, list[int]]:
    """One's own numbers with those of all others, and who is alive."""
    summed, alive = decode_numbers(own), [os.getpid()]
    for pid, is_alive, numbers in siblings.read():
        summed.add(numbers, alive=is_alive)
        if is_alive:
            alive.append(pid)
    return summed, alive


def _took(spoken: Spoken, error: str) -> Histogram:
    took = spoken.took.get(error)
    if took is None:
        took = spoken.took[error] = histogram(DURATION_BUCKETS)
    return took


def _spend(spent: Served, attempt: Attempt) -> None:
    """Adds what a try has consumed, and what it has cost."""
    usage = attempt.usage
    if usage is not None:
        spent.input += usage.input or 0
        spent.output += usage.billed_output or 0
    if attempt.cost is None:
        return
    if attempt.cost_from == "estimated":
        spent.estimated += float(attempt.cost)
    else:
        spent.cost += float(attempt.cost)
