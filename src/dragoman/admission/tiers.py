"""Which rules hold for a caller: its key's own limits, over those of its key's tier (R-TIER-001)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dragoman.admission.ports import Tally
from dragoman.admission.rules import NO_RULES, Rule, Rules, rules_of
from dragoman.core.call import NO_LIMITS, Caller, Limits
from dragoman.core.errors import HouseError

MOST_REMEMBERED = 10_000


class Quota(Struct, eq=False):
    """What holds for one caller, and where its use is counted: found once for all of its calls."""

    caller: Caller
    rules: Rules
    tokens_as: str
    """The name under which its tokens are counted."""
    requests: Tally | None = None
    """None: not known yet, as below."""
    tokens: Tally | None = None


_UNLIMITED = Quota(Caller("", ""), NO_RULES, "")
"""Of all callers without limits, of whom some are seen once."""


class Tiers:
    """The tiers of one configuration; another one makes another of these."""

    def __init__(
        self, tiers: Mapping[str, Limits] | None = None, everyone: Limits | None = None
    ) -> None:
        """``everyone``: limits in place of each key's own, as in test mode (R-TIER-006)."""
        self.tiers: Mapping[str, Limits] = tiers or {}
        self._everyone = None if everyone is None else rules_of(everyone)
        self._made: dict[tuple[int, str | None], tuple[Limits, Rules]] = {}
        """By the identity of a key's limits, which the limits beside the rules keep from being another's."""
        self._quotas: dict[int, Quota] = {}
        """By the identity of a caller, which the quota keeps from being another's."""

    def quota(self, caller: Caller) -> Quota:
        """What holds for the caller, in the same piece for each of its calls.

        Raises:
            HouseError: the key has a tier that there is not: it fails closed.
        """
        found = self._quotas.get(id(caller))
        if found is None:
            rules = self.rules(caller)
            if rules is NO_RULES:
                return _UNLIMITED
            found = Quota(caller, rules, counted_as(caller, rules.tokens))
            if len(self._quotas) >= MOST_REMEMBERED:
                self._quotas.clear()
            self._quotas[id(caller)] = found
        return found

    def rules(self, caller: Caller) -> Rules:
        """What is counted of the caller.

        Raises:
            HouseError: the key has a tier that there is not: it fails closed.
        """
        found = self._made.get((id(caller.limits), caller.tier))
        return self._rules(caller.limits, caller.tier) if found is None else found[1]

    def _rules(self, limits: Limits, tier: str | None) -> Rules:
        if self._everyone is not None:
            rules = self._everyone
        elif tier is None and limits is NO_LIMITS:
            rules = NO_RULES
        else:
            rules = rules_of(merged(limits, self._limits_of(tier)))
        if len(self._made) >= MOST_REMEMBERED:
            self._made.clear()
        self._made[id(limits), tier] = (limits, rules)
        return rules

    def _limits_of(self, tier: str | None) -> Limits:
        if tier is None:
            return NO_LIMITS
        if tier not in self.tiers:
            raise HouseError(
                "server",
                f"This API key has the tier {tier!r}, which this gateway does not have: its operator "
                f"adds [tiers.{tier}] to dragoman.toml, or gives the key another tier.",
                code="configuration_error",
            )
        return self.tiers[tier]


def counted_as(caller: Caller, rule: Rule) -> str:
    """The name under which a caller's use is counted: another one since its allowance counts anew.

    What is under way is settled where it was taken, and every process knows the name as soon as the key.
    """
    if rule.total and caller.counts_since_us is not None:
        return f"{caller.key_id}@{caller.counts_since_us}"
    return caller.key_id


def merged(own: Limits, tier: Limits) -> Limits:
    """The key's own limits where it says any, else its tier's; a 0 of its own lifts the tier's."""
    said = {
        name: value if (value := getattr(own, name)) is not None else getattr(tier, name)
        for name in Limits.__struct_fields__
    }
    return Limits(**said)
