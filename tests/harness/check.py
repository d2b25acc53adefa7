"""Decides from a history whether the books are right: nothing lost, nothing double, every number the true one.

Pure. What is held against what:

- every request that its caller saw answered has one row, with what the caller was told;
- every request that the provider got has one attempt's row, and every attempt with a number was the provider's;
- an attempt's tokens and cost are the provider's to the last digit, or unknown where nobody told them;
- what a dead process had written down is in the ledger as it was written;
- the hours' sums are the sums of the rows, and no journal is left undrained.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from harness.evidence import Attempt, Heard, History, Noted, Request, Served, number_of

Kind = Literal[
    "lost", "double", "invented", "tokens", "cost", "unknown", "row", "told", "journal", "hours"
]
"""``lost``: something happened and no row says so. ``double``: more than one does. ``invented``: a row of
something that never happened. ``tokens``, ``cost``: a number is not the provider's. ``unknown``: a number is
missing that was told. ``row``: a call's row is not its attempts'. ``told``: the caller was told other numbers.
``journal``: the ledger is not what was written down. ``hours``: the sums are not the rows'."""

_SEGMENTS = {"openai-responses": "openai", "google": "gemini"}
"""Providers whose path at the mock begins otherwise than with their name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.text}"


@dataclass(slots=True)
class Report:
    """All that is wrong, and the figures of what was looked at; amounts in 10⁻¹² USD."""

    findings: list[Finding] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    """Of attempts."""
    served: int = 0
    requests: int = 0
    attempts: int = 0
    invoiced_pico: int = 0
    """All that the provider charges."""
    booked_pico: int = 0
    """All that the ledger knows."""
    open_pico: int = 0
    """What the provider charges for attempts whose cost the ledger does not know."""
    open_attempts: int = 0
    untold: int = 0
    """Answers that were whole but for their usage, which a network that does harm has cut off."""

    @property
    def answered(self) -> int:
        """Requests that their callers saw answered whole."""
        return self.heard["whole"]

    def count(self, kind: Kind) -> int:
        """How often that is wrong."""
        return sum(finding.kind == kind for finding in self.findings)

    def __str__(self) -> str:
        heard = ", ".join(f"{number} {end}" for end, number in sorted(self.heard.items()))
        statuses = ", ".join(f"{number} {name}" for name, number in sorted(self.statuses.items()))
        wrong = "".join(f"\n  {finding}" for finding in self.findings[:20])
        return (
            f"callers: {heard}; rows: {self.requests}, attempts: {self.attempts} ({statuses}); "
            f"provider: {self.served} requests, invoice {self.invoiced_pico}; ledger "
            f"{self.booked_pico}, open {self.open_pico} of {self.open_attempts} attempts; "
            f"{len(self.findings)} findings{wrong}"
        )


def check(history: History) -> Report:
    """Looks at everything."""
    report = Report(
        heard=Counter(heard.end for heard in history.heard),
        statuses=Counter(attempt.status for attempt in history.attempts),
        served=len(history.served),
        requests=len(history.requests),
        attempts=len(history.attempts),
    )
    pairs = _attempts(history, report)
    _requests(history, pairs, report)
    _journal(history, report)
    _hours(history, report)
    report.findings += [Finding("journal", name, "was not drained") for name in history.left_over]
    return report


# --------------------------------------------------------------------------- attempts and the provider


def _attempts(history: History, report: Report) -> dict[str, Served]:
    """Compares every attempt with what the provider did for it; which of its requests that was."""
    for name, times in Counter(each.attempt_id for each in history.attempts).items():
        if times > 1:
            report.findings.append(Finding("double", name, f"{times} rows of one attempt"))
    traces = {request.call_id: request.trace_id for request in history.requests}
    made: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.attempts:
        if attempt.call_id not in traces:
            text = f"its call {attempt.call_id} has no row"
            report.findings.append(Finding("row", attempt.attempt_id, text))
        made[traces.get(attempt.call_id, attempt.call_id)].append(attempt)
    served: defaultdict[str, list[Served]] = defaultdict(list)
    for each in history.served:
        served[each.trace].append(each)
    pairs: dict[str, Served] = {}
    for trace in {*made, *served}:
        pairs |= _trace(trace, made[trace], served[trace], report, harmed=history.harmed)
    return pairs


def _trace(
    trace: str, attempts: list[Attempt], served: list[Served], report: Report, *, harmed: bool
) -> dict[str, Served]:
    pairs = _paired(attempts, served)
    taken = {each.number for each in pairs.values()}
    for each in served:
        report.invoiced_pico += each.invoice_pico
        if each.number not in taken:
            text = f"no attempt for the provider's request {each.number}"
            report.findings.append(Finding("lost", trace, text))
    for attempt in attempts:
        true = pairs.get(attempt.attempt_id)
        if true is None:
            _unserved(attempt, report)
        elif harmed and attempt.provider in _USAGE_LAST and _is_bare(attempt):
            report.untold += 1
        else:
            _numbers(attempt, true, report)
        if attempt.cost_pico is not None:
            report.booked_pico += attempt.cost_pico
        elif true is not None and true.invoice_pico:
            report.open_pico += true.invoice_pico
            report.open_attempts += 1
    return pairs


def _paired(attempts: Iterable[Attempt], served: Iterable[Served]) -> dict[str, Served]:
    """Which of the provider's requests each attempt was: by the answer's id, else in their order."""
    left = sorted(served, key=lambda each: each.number)
    rest: list[Attempt] = []
    pairs: dict[str, Served] = {}
    for attempt in sorted(attempts, key=lambda each: each.number):
        number = number_of(attempt.upstream_id)
        found = [each for each in left if each.number == number and _is_same(attempt, each)]
        if found:
            pairs[attempt.attempt_id] = found[0]
            left.remove(found[0])
        else:
            rest.append(attempt)
    # An attempt that knows a number can only be the one that brought it.
    rest.sort(key=lambda each: (not _is_known(each), each.number))
    for attempt in rest:
        fitting = [each for each in left if _is_same(attempt, each)]
        if _is_known(attempt):
            # Among the same candidate's answers to one call nothing else tells which one it was.
            numbers = (attempt.input, attempt.output, attempt.cost_pico)
            fitting.sort(key=lambda each: (_apart(numbers, each), not each.answered, each.number))
        if fitting:
            pairs[attempt.attempt_id] = fitting[0]
            left.remove(fitting[0])
    return pairs


def _apart(numbers: tuple[int | None, ...], served: Served) -> int:
    """In how many numbers they differ."""
    true = (served.input, served.output, served.invoice_pico)
    return sum(one != other for one, other in zip(numbers, true, strict=True))


def _is_known(attempt: Attempt) -> bool:
    return attempt.input is not None or attempt.cost_pico is not None


def _is_same(attempt: Attempt, served: Served) -> bool:
    segment = _SEGMENTS.get(attempt.provider, attempt.provider)
    return segment == served.provider and attempt.model == served.model


_USAGE_LAST = frozenset({"openai"})
"""Providers whose streams tell usage behind their end: without it the answer is whole all the same (D1)."""


def _is_bare(attempt: Attempt) -> bool:
    """A whole answer of which no number is known."""
    numbers = (attempt.input, attempt.output, attempt.cost_pico)
    return attempt.status == "complete" and numbers == (None, None, None)


def _unserved(attempt: Attempt, report: Report) -> None:
    """An attempt that never reached the provider has nothing to tell."""
    numbers = (attempt.input, attempt.output, attempt.cost_pico)
    if any(numbers) or attempt.status == "complete":
        text = f"{attempt.status} with {numbers}, and the provider was not asked"
        report.findings.append(Finding("invented", attempt.attempt_id, text))


def _numbers(attempt: Attempt, true: Served, report: Report) -> None:
    name = f"{attempt.attempt_id} ({attempt.provider}/{attempt.model}, {attempt.status})"
    must_know = attempt.status == "complete" and true.told and true.whole
    counts = [
        ("input", attempt.input, true.input),
        ("output", attempt.output, true.output),
        ("cached", attempt.cached or None, true.cached or None),
        ("cache_write", attempt.cache_write or None, true.cache_write or None),
    ]
    for what, known, truth in counts:
        if known == truth:
            continue
        if known is not None:
            text = f"{what} is {known}, the provider says {truth}"
            report.findings.append(Finding("tokens", name, text))
        elif must_know:
            text = f"{what} is unknown, the provider told {truth}"
            report.findings.append(Finding("unknown", name, text))
    if attempt.cost_pico is None:
        if must_know:
            report.findings.append(Finding("unknown", name, "its cost is unknown"))
    elif attempt.cost_pico != true.invoice_pico:
        text = f"it cost {attempt.cost_pico}, the provider charges {true.invoice_pico}"
        report.findings.append(Finding("cost", name, text))
    if (attempt.tokens_from == "none") != (attempt.input is None and attempt.output is None):
        text = f"tokens are {attempt.input}, {attempt.output}, from {attempt.tokens_from}"
        report.findings.append(Finding("row", name, text))
    if (attempt.cost_from == "none") != (attempt.cost_pico is None):
        text = f"the cost is {attempt.cost_pico}, from {attempt.cost_from}"
        report.findings.append(Finding("row", name, text))


# --------------------------------------------------------------------------- requests and their callers


def _requests(history: History, pairs: dict[str, Served], report: Report) -> None:
    rows: defaultdict[str, list[Request]] = defaultdict(list)
    for request in history.requests:
        rows[request.request_id].append(request)
    made: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in history.attempts:
        made[attempt.call_id].append(attempt)
    for request in history.requests:
        _row(request, made[request.call_id], report)
    for heard in history.heard:
        _heard(heard, rows.pop(heard.name, []), made, pairs, report)
    report.findings += [
        Finding("invented", name, f"{len(found)} rows of what no caller has asked")
        for name, found in rows.items()
    ]


def _row(request: Request, attempts: list[Attempt], report: Report) -> None:
    """A call's row shows one of its attempts, and the one that served if any did."""
    if request.attempts != len(attempts):
        text = f"it says {request.attempts} attempts, there are {len(attempts)}"
        report.findings.append(Finding("row", request.call_id, text))
    serving = [each for each in attempts if each.status == "complete"]
    if len(serving) > 1:
        report.findings.append(Finding("double", request.call_id, "two attempts have served"))
    shown = (request.input, request.output, request.cost_pico)
    candidates = [(each.input, each.output, each.cost_pico) for each in serving or attempts]
    if shown not in (candidates or [(None, None, None)]):
        text = f"it shows {shown}, its attempts have {candidates}"
        report.findings.append(Finding("row", request.call_id, text))


def _heard(
    heard: Heard,
    rows: list[Request],
    made: dict[str, list[Attempt]],
    pairs: dict[str, Served],
    report: Report,
) -> None:
    if len(rows) > 1:
        report.findings.append(Finding("double", heard.name, f"{len(rows)} rows of one request"))
    if not rows:
        if heard.end not in {"left", "lost"}:
            text = f"its caller has {heard.end}, status {heard.status}"
            report.findings.append(Finding("lost", heard.name, text))
        return
    row = rows[0]
    if heard.end == "whole":
        if (row.status, row.http_status) != ("complete", 200):
            text = f"answered whole, and the row says {row.status}, {row.http_status}"
            report.findings.append(Finding("row", heard.name, text))
        serving = [each for each in made[row.call_id] if each.status == "complete"]
        if len(serving) != 1:
            text = f"answered whole, by {len(serving)} attempts"
            report.findings.append(Finding("row", heard.name, text))
            return
        _was_told(heard, serving[0], pairs.get(serving[0].attempt_id), report)
    elif heard.end == "refused" and row.http_status != heard.status:
        text = f"its caller has status {heard.status}, the row {row.http_status}"
        report.findings.append(Finding("row", heard.name, text))
    elif heard.end in {"refused", "broken"} and row.status == "complete":
        report.findings.append(
            Finding("row", heard.name, f"complete, and its caller has {heard.end}")
        )


def _was_told(heard: Heard, attempt: Attempt, true: Served | None, report: Report) -> None:
    """What the answer said of its usage is what the ledger says, and the provider."""
    if heard.input is None or attempt.input is None or true is None:
        return
    if attempt.tokens_from == "reconciled" and not (heard.input or heard.output):
        return  # nobody knew then; some dialects have no word for that but nought
    if (heard.input, heard.output) != (true.input, true.output):
        text = f"told {heard.input}, {heard.output}; the provider {true.input}, {true.output}"
        report.findings.append(Finding("told", heard.name, text))


# --------------------------------------------------------------------------- journal and sums


def _journal(history: History, report: Report) -> None:
    rows = {attempt.attempt_id: attempt for attempt in history.attempts}
    for noted in history.noted:
        row = rows.get(noted.attempt_id)
        if row is None:
            text = f"attempt {noted.attempt_id} was written down and is not in the ledger"
            report.findings.append(Finding("lost", noted.call_id, text))
        elif noted.status is not None and _differs(noted, row):
            text = f"written down as {noted}, in the ledger as {row}"
            report.findings.append(Finding("journal", noted.attempt_id, text))


def _differs(noted: Noted, row: Attempt) -> bool:
    written = (noted.status, noted.input, noted.output, noted.cost_pico)
    # What was unknown may have been settled since, by the provider's own word.
    now = (row.status, row.input, row.output, row.cost_pico)
    if row.tokens_from == "reconciled":
        return any(old is not None and old != new for old, new in zip(written, now, strict=True))
    return written != now


def _hours(history: History, report: Report) -> None:
    if not history.hours:
        return
    rows = history.requests
    true = {
        "requests": len(rows),
        "input_tokens": sum(row.input or 0 for row in rows),
        "output_tokens": sum(row.output or 0 for row in rows),
        "cost_pico": sum(row.cost_pico or 0 for row in rows),
    }
    for name, total in true.items():
        if history.hours.get(name) != total:
            text = f"{history.hours.get(name)} in the sums, {total} in the rows"
            report.findings.append(Finding("hours", name, text))
