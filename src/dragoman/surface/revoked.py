"""Ends the calls under way of keys that were revoked ``now`` (`reliability.md` A10), in every process.

Asked only while there are calls, and of what is stored only one number, until that has moved on; it is one that
others look at anyway (``store/numbers.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from dragoman.core.errors import CallerError, GatewayError
from dragoman.surface.endpoint import UnderWay

LOOK_S = 0.2
"""With the half second that the number may be old, less than one."""


class Cuts(Protocol):
    """Where it stands which keys' calls were to end."""

    async def lately(self) -> int:
        """A number that every change of a key moves on, as it stood half a second ago at most."""
        ...

    async def cuts(self) -> set[tuple[str, int]]:
        """Those keys, each with when that was said last."""
        ...


async def cut_revoked(
    stored: Cuts, live: Collection[UnderWay], untold: Callable[[str, Exception], None]
) -> None:
    """Ends their calls, until it is cancelled; ``untold`` hears what could not be looked at."""
    known: set[tuple[str, int]] | None = None
    seen, works = -1, True
    while True:
        if live or known is None:
            try:
                number = await stored.lately()
                if number != seen:
                    found = await stored.cuts()
                    if known is not None:
                        end({key_id for key_id, _ in found - known}, live)
                    known, seen = found, number
                works = True
            except GatewayError as error:
                if works:
                    untold("revoked keys not looked at", error)
                works = False
        await asyncio.sleep(LOOK_S)


def end(key_ids: Collection[str], live: Collection[UnderWay]) -> None:
    """Ends the calls of these keys."""
    for each in tuple(live) if key_ids else ():
        caller = each.call.caller
        if caller is not None and caller.key_id in key_ids:
            each.cut(
                CallerError(
                    "authentication",
                    "The API key was revoked, and what it had begun was ended.",
                    code="invalid_api_key",
                )
            )
