"""Text and numbers made fit for any SQL, off the data path: no NUL, no lone surrogate, nothing beyond a BIGINT.

One hostile row must not keep a whole batch out, so whatever a journal's record says comes through here on its way
to the ledger. Nearly every record is fit already, which one look at all of its text shows.
"""

from __future__ import annotations

from msgspec.structs import astuple, replace

from dragoman.accounting.records import About, Closed, Finished, Opened, Tokens

_BIGGEST = 2**63 - 1
_LONGEST = 512
LONGEST_NAME = 256
"""Of a model, as its caller or its provider calls it."""
_LONGEST_LOSSES = 4096


def fit(text: str, longest: int = _LONGEST) -> str:
    """``text`` as any database takes it; PostgreSQL refuses NUL and lone surrogates."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\ufffd")[:longest]


def are_names(one: str, other: str) -> bool:
    """Whether ``fit`` would change neither of two names, as is usual; one look at both."""
    text = one + other
    return len(text) <= LONGEST_NAME and text.isascii() and "\0" not in text


def all_fit(text: str) -> bool:
    """Whether ``fit`` would change no part of this; one look at all text together is the usual case."""
    return len(text) <= _LONGEST and text.isascii() and "\0" not in text


def _fit_about(about: About) -> About:
    names = ("request_id", "trace_id", "tenant", "key_id", "caller", "project", "end_user", "tags")
    return replace(about, **{name: fit(getattr(about, name)) for name in names})


def fit_begin(begin: Opened) -> Opened:
    """The record as any database takes it."""
    about, credential = begin.about, begin.credential
    text = "".join(
        (
            about.request_id,
            about.trace_id,
            about.tenant,
            about.key_id,
            about.caller,
            about.project,
            about.end_user,
            about.tags,
            begin.requested_model,
            begin.provider,
            begin.model,
            credential or "",
        )
    )
    if all_fit(text):
        return begin
    return replace(
        begin,
        about=_fit_about(about),
        requested_model=fit(begin.requested_model),
        provider=fit(begin.provider),
        model=fit(begin.model),
        credential=fit(credential) if credential is not None else None,
    )


def fit_end(end: Closed) -> Closed:
    """The record as any database takes it."""
    upstream_id = end.upstream_id
    numbers = [*filter(None, (*astuple(end.tokens), end.cost_pico))]
    text = "".join(
        (upstream_id or "", end.losses, end.adjusted, end.error_code or "", end.service_tier)
    )
    if all_fit(text) and _all_sound(numbers):
        return end
    return replace(
        end,
        upstream_id=fit(upstream_id) if upstream_id is not None else None,
        tokens=Tokens(*map(_sound, astuple(end.tokens))),
        cost_pico=_sound(end.cost_pico),
        losses=fit(end.losses, _LONGEST_LOSSES),
        adjusted=fit(end.adjusted),
        error_code=fit(end.error_code) if end.error_code else None,
        service_tier=fit(end.service_tier),
    )


def fit_finished(finished: Finished) -> Finished:
    """The record as any database takes it."""
    return replace(
        finished,
        about=_fit_about(finished.about),
        requested_model=fit(finished.requested_model),
        provider=fit(finished.provider) if finished.provider else None,
        model=fit(finished.model) if finished.model else None,
        error_code=fit(finished.error_code) if finished.error_code else None,
        losses=fit(finished.losses, _LONGEST_LOSSES),
        adjusted=fit(finished.adjusted),
    )


def _sound(number: int | None) -> int | None:
    return number if number is not None and 0 <= number <= _BIGGEST else None


def _all_sound(numbers: list[int]) -> bool:
    return not numbers or (min(numbers) > 0 and max(numbers) <= _BIGGEST)
