"""How often an address without a key may come: so many times in a second, a minute, a day (R-TIER-009)."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from dragoman.core.errors import CallerError

_SPANS = (("second", 1.0), ("minute", 60.0), ("day", 86_400.0))
_MOST = 4096
"""Addresses that are remembered; who was not heard of for longest is forgotten."""


@dataclass(slots=True)
class Strangers:
    """The counts of one process; several processes share a limit evenly."""

    limits: tuple[int, int, int]
    """Requests a second, a minute, a day; 0: not limited."""
    monotonic: Callable[[], float]
    share: int = 1
    _seen: OrderedDict[str, list[tuple[float, int]]] = field(default_factory=OrderedDict)

    def admit(self, address: str) -> None:
        """Counts a request.

        Raises:
            CallerError: it is one too many; the message says when to come back.
        """
        now, whose = self.monotonic(), _network(address)
        windows = self._seen.pop(whose, None) or [(now, 0)] * len(_SPANS)
        counted = []
        for (began, count), (name, span), limit in zip(windows, _SPANS, self.limits, strict=True):
            start, used = (began, count) if now - began < span else (now, 0)
            if limit and used >= max(1, limit // self.share):
                self._seen[whose] = windows
                wait = start + span - now
                raise CallerError(
                    "rate_limit",
                    f"From one address {limit} keys a {name} are taken: "
                    f"try again in {wait:.3g} seconds.",
                    code="rate_limited",
                    retry_after_s=wait,
                )
            counted.append((start, used + 1))
        self._seen[whose] = counted
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)


def _network(address: str) -> str:
    """One household: of IPv6 whoever has an address has 2⁶⁴ of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
