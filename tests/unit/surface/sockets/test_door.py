"""How many WebSockets of one key a process holds open, and that a refusal counts as a limit's."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.surface.sockets.door import _Welcome


@pytest.mark.req("R-TIER-010", "R-WS-008")
def test_one_too_many_is_refused_and_counted():
    hits: list[str] = []
    house = SimpleNamespace(gate=SimpleNamespace(limited=hits.append))
    open_now: Counter[str] = Counter()
    welcomes = [_Welcome(None, None, house, None, open_now, 2) for _ in range(3)]
    one, other = Caller("k1", "t"), Caller("k2", "t")
    for each in welcomes[:2]:
        each.enter(one)
    assert hits == []
    with pytest.raises(CallerError) as error:
        welcomes[2].enter(one)
    assert (error.value.status, error.value.code) == (429, "too_many_connections")
    assert hits == ["websockets"]
    welcomes[2].enter(other)
    welcomes[0].leave(one)
    welcomes[2].enter(one)
    assert hits == ["websockets"]
