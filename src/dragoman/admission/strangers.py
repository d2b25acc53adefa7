"""How often an address without a key may come: so many times in a second, a minute, a day (R-TIER-009).

It is counted where keys are, so that all processes hold the limits together. Addresses cost nobody anything, and
whoever has many would fill what is counted in: so they are sorted into a fixed number of names by a digest, and
those that fall together are one. Two that are in use at the same time hardly ever do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from dragoman.admission.ports import NO_PAST, LimitStore, Short
from dragoman.admission.rules import Rule, rules_of
from dragoman.core.call import Limits
from dragoman.core.errors import CallerError

NAMES = 1 << 14
"""How many addresses are told apart."""
_SPANS = {"rps": "second", "rpm": "minute", "rpd": "day"}


@dataclass(frozen=True, slots=True)
class Strangers:
    """The limits of whoever has no key."""

    rule: Rule
    store: LimitStore
    limited: Callable[[str], None]
    """Told the name of a limit that has refused somebody."""
    digest_key: bytes
    """Without it nobody can tell which addresses fall together."""

    async def admit(self, address: str) -> None:
        """Counts a request.

        Raises:
            CallerError: it is one too many; the message says when to come back.
        """
        if self.rule.is_open:
            return
        name = f"stranger:{self._number(_network(address))}"
        # Nothing is known of an address from before: no ledger has rows of it.
        found = await self.store.take(name, self.rule, 1, past=NO_PAST)
        if not isinstance(found, Short):
            return
        self.limited(f"ingest_{found.name}")
        wait = found.wait_s or 0.0
        raise CallerError(
            "rate_limit",
            f"From one address {found.limit} keys a {_SPANS[found.name]} are taken: "
            f"try again in {wait:.3g} seconds.",
            code="rate_limited",
            retry_after_s=wait,
        )

    def _number(self, network: str) -> int:
        digest = blake2b(network.encode(), key=self.digest_key, digest_size=8)
        return int.from_bytes(digest.digest()) % NAMES


def strangers(
    limits: tuple[int, int, int], store: LimitStore, limited: Callable[[str], None], secret: str
) -> Strangers:
    """Those who may come so often a second, a minute, a day; 0: as often as they like."""
    rps, rpm, rpd = limits
    rule = rules_of(Limits(rps=rps, rpm=rpm, rpd=rpd)).requests
    return Strangers(rule, store, limited, blake2b(secret.encode(), digest_size=32).digest())


def _network(address: str) -> str:
    """One household: of IPv6 whoever has an address has 2⁶⁴ of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
