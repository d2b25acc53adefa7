"""The 429 that says which limit was reached and when to come back (R-TIER-003, R-TIER-004)."""

from __future__ import annotations

from dragoman.admission.rules import ALLOWANCE, CONCURRENCY
from dragoman.core.call import Denied
from dragoman.core.errors import CallerError

_CODES = {
    "rps": "rps_exceeded",
    "rpm": "rpm_exceeded",
    "rpd": "daily_quota_exceeded",
    "tpm": "tpm_exceeded",
    "tpd": "daily_token_limit_exceeded",
    CONCURRENCY: "concurrency_exceeded",
}
_WHAT = {
    "rps": "requests per second",
    "rpm": "requests per minute",
    "rpd": "requests per day",
    "tpm": "tokens per minute",
    "tpd": "tokens per day",
}


class LimitError(CallerError):
    """The refusal of a limit, with what the answer's headers tell of it."""

    def __init__(self, denied: Denied) -> None:
        self.denied = denied
        if denied.limit_name == ALLOWANCE:
            super().__init__(
                "quota", _used_up(denied), code="insufficient_quota", details=_details(denied)
            )
            return
        super().__init__(
            "rate_limit",
            _message(denied),
            code=_CODES[denied.limit_name],
            retry_after_s=denied.retry_after_s,
            details=_details(denied),
        )


def refusal(denied: Denied) -> LimitError:
    """The error for a caller who has to wait, or to ask for less."""
    return LimitError(denied)


def _details(denied: Denied) -> dict[str, object]:
    return {"limit_type": denied.limit_name, "limit": denied.limit}


def _message(denied: Denied) -> str:
    wait = denied.retry_after_s
    if denied.limit_name == CONCURRENCY:
        return (
            f"This API key may have {denied.limit} requests under way at once: "
            "wait for one of them to end."
        )
    allowed = f"This API key may use {denied.limit} {_WHAT[denied.limit_name]}"
    if wait is None:
        return (
            f"{allowed}, and this request may need {denied.asked}: shorten it, or lower the most "
            "that its answer may be (max_tokens)."
        )
    if denied.limit_name in {"tpm", "tpd"}:
        allowed += f", of which {denied.free} are free, and this request may need {denied.asked}"
    return f"{allowed}: try again in {wait:.3g} seconds."


def _used_up(denied: Denied) -> str:
    if not denied.free:
        return f"This API key's allowance of {denied.limit} tokens is used up: ask for a new one."
    return (
        f"Of this API key's allowance of {denied.limit} tokens {denied.free} are left, and this request "
        f"may need {denied.asked}: shorten it, or lower the most that its answer may be (max_tokens)."
    )
