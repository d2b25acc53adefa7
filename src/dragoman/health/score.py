"""The score of a provider or a model, 0 to 100, worked out of its figures alone (R-PROV-003, R-ADD-020).

    score   = good² * (50 + 30 * quick + 20 * fast), drawn to 50 as the figures grow old
    good    = share of requests that were answered
    quick   = 1 at 0.5 s or less to the first content, 0 at 15 s or more; of whole replies 1 at 1 s, 0 at 60 s
    fast    = 1 at 100 output tokens a second or more, 0 at 5 or less

Both scales are logarithmic: from 1 s to 2 s is as far as from 4 s to 8 s. What was not measured counts
a half. Who has no figures has 50: neither recommended nor warned of.
"""

from __future__ import annotations

import math

from dragoman.health.statistics import Figures

NEUTRAL = 50.0
HALF_LIFE_S = 3600.0
"""After so long without a request the score is half-way back to neutral."""
FIRST_EVENT_S = (0.5, 15.0)
REPLY_S = (1.0, 60.0)
TOKENS_PER_S = (100.0, 5.0)
_SOLID, _QUICK, _FAST = 50.0, 30.0, 20.0


def score(figures: Figures | None, now: float) -> float:
    """How well a place has been doing lately."""
    if figures is None or not figures.requests:
        return NEUTRAL
    quick = scaled(figures.first_event_s, *FIRST_EVENT_S)
    if quick is None:
        quick = scaled(figures.reply_s, *REPLY_S)
    fast = scaled(figures.tokens_per_s, *TOKENS_PER_S)
    good = 1.0 - figures.errors
    raw = good * good * (_SOLID + _QUICK * _half(quick) + _FAST * _half(fast))
    if figures.failures == figures.requests:
        raw = 0.0  # it has never once answered
    age = now - figures.at
    return raw if age <= 0 else NEUTRAL + (raw - NEUTRAL) * 0.5 ** (age / HALF_LIFE_S)


def scaled(value: float | None, best: float, worst: float) -> float | None:
    """1 at ``best`` or beyond, 0 at ``worst`` or beyond, logarithmic between them; None of nothing."""
    if value is None:
        return None
    least, most = min(best, worst), max(best, worst)
    share = math.log(min(max(value, least), most) / worst) / math.log(best / worst)
    return min(1.0, max(0.0, share))


def _half(share: float | None) -> float:
    return 0.5 if share is None else share
