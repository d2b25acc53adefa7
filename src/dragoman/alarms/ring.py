"""Looks, raises and delivers: what is raised stands in the outbox until its endpoints have taken it.

Raising writes down that it was raised and puts it in the outbox in one transaction, so that of all processes one
tells it, and a death in between loses nothing. Who does not take an alarm gets it again, each time after longer,
and in the end no more. One process looks and delivers, while it has its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from dragoman.alarms.alarm import Alarm, Endpoint, body_of, signed
from dragoman.alarms.judge import (
    Drifting,
    Failing,
    Policy,
    Spending,
    drifting,
    failing,
    too_fast,
)
from dragoman.core.budget import time_of
from dragoman.core.clock import Clock
from dragoman.core.errors import GatewayError
from dragoman.core.ids import uuid7

TURN = "alarms"
TURN_S = 20.0
WAITS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0)
TICK_S = 1.0
AT_ONCE = 20
DRIFT_DAYS = 7
KEPT_DAYS = 400
"""How long it is known that something was raised."""
_DAY_S = 86_400
_HOUR_S = 3600
_GONE = 410


class Letter(Struct, frozen=True):
    """An alarm on its way to one endpoint."""

    id: str
    endpoint: str
    body: str
    tries: int


class Outbox(Protocol):
    """What was raised, what is on its way, and the figures that are judged."""

    async def raise_(
        self, alarm: Alarm, alarm_id: str, body: str, endpoints: Sequence[str]
    ) -> bool:
        """Notes it and puts it in the outbox; whether nobody had raised it before."""
        ...

    async def due(self, now_ms: int, limit: int) -> list[Letter]:
        """What is to be sent now."""
        ...

    async def taken(self, letter: Letter) -> None:
        """It has arrived, or is given up."""
        ...

    async def later(self, letter: Letter, due_ms: int) -> None:
        """It is sent again at that time."""
        ...

    async def spending(self, hour: int, least_pico: int) -> list[Spending]:
        """Who spends at least so much in that hour since 1970."""
        ...

    async def failing(self, since_s: float) -> list[Failing]:
        """How calls have ended since then."""
        ...

    async def drifting(self, since_day: int) -> list[Drifting]:
        """What is known of drift since then."""
        ...

    async def forget(self, before_ms: int) -> None:
        """Of what was raised before that nobody needs to know any more."""
        ...


class Telling(Struct, frozen=True):
    """Who hears of it here: the log and the metrics."""

    raised: Callable[[Alarm], None]
    lost: Callable[[str, str], None]
    """An endpoint did not take an alarm: its id and why."""
    drifts: Callable[[Sequence[Drifting]], None]


class Ring:
    """The alarms of one process."""

    def __init__(
        self,
        outbox: Outbox,
        post: Callable[[Endpoint, bytes, dict[str, str]], Awaitable[int]],
        clock: Clock,
        dice: Callable[[int], bytes],
        take_turn: Callable[[str, float], Awaitable[bool]],
        telling: Telling,
    ) -> None:
        """``post`` sends a body and returns the status; what goes wrong is a ``GatewayError``."""
        self.policy = Policy()
        self._outbox = outbox
        self._post = post
        self._clock = clock
        self._dice = dice
        self._take_turn = take_turn
        self._telling = telling
        self._look_at = 0.0
        self._forget_at = 0.0

    async def raise_(self, alarm: Alarm) -> bool:
        """Raises an alarm, once among all processes; whether nobody had."""
        wall = self._clock.wall()
        alarm_id = uuid7(wall, self._dice)
        wanted = [each.id for each in self.policy.endpoints if alarm.kind in each.kinds]
        body = body_of(alarm, alarm_id, time_of(wall))
        new = await self._outbox.raise_(alarm, alarm_id, body, wanted)
        if new:
            self._telling.raised(alarm)
        return new

    async def run(self) -> None:
        """Goes on until it is cancelled; nothing that fails ends it."""
        while True:
            try:
                busy = await self.tick()
            except GatewayError as error:
                self._telling.lost("", error.message)
                busy = False
            except Exception as error:  # noqa: BLE001  what is in the outbox stays there
                self._telling.lost("", type(error).__name__)
                busy = False
            await asyncio.sleep(0 if busy else TICK_S)

    async def tick(self) -> bool:
        """Delivers what is due and looks, when it is time to; whether there may be more to deliver."""
        due: list[Letter] = []
        if self.policy.endpoints:
            due = await self._outbox.due(int(self._clock.wall() * 1000), AT_ONCE)
        looks = self._clock.monotonic() >= self._look_at
        if looks:
            # Also where another has its turn: to ask for one writes to the database.
            self._look_at = self._clock.monotonic() + self.policy.look_every_s
        if not (due or looks) or not await self._take_turn(TURN, TURN_S):
            return False
        await asyncio.gather(*map(self._deliver, due))
        if looks:
            await self.look()
            await self._forget()
        return len(due) == AT_ONCE

    async def look(self) -> None:
        """Judges the figures as they stand."""
        policy, wall = self.policy, self._clock.wall()
        hour, day = int(wall // _HOUR_S), int(wall // _DAY_S)
        alarms: list[Alarm] = []
        if policy.velocity:
            spending = await self._outbox.spending(hour, policy.velocity_min_pico)
            alarms += too_fast(policy, spending, hour)
        if policy.error_rate:
            ended = await self._outbox.failing(wall - policy.error_rate_window_s)
            alarms += failing(policy, ended, wall)
        drifts = await self._outbox.drifting(day - DRIFT_DAYS)
        self._telling.drifts(drifts)
        alarms += drifting(policy, drifts, day)
        for alarm in alarms:
            await self.raise_(alarm)

    async def _forget(self) -> None:
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + _DAY_S
            await self._outbox.forget(int((self._clock.wall() - KEPT_DAYS * _DAY_S) * 1000))

    async def _deliver(self, letter: Letter) -> None:
        endpoint = next((e for e in self.policy.endpoints if e.id == letter.endpoint), None)
        if endpoint is None:
            await self._outbox.taken(letter)  # it is configured no more
            return
        body = letter.body.encode()
        headers = {
            "content-type": "application/json",
            "x-dragoman-event-id": letter.id,
            **signed(body, endpoint.secret, int(self._clock.wall())),
        }
        try:
            status = await self._post(endpoint, body, headers)
            why = f"it answered {status}"
        except GatewayError as error:
            status, why = 0, error.message
        if 200 <= status < 300:
            await self._outbox.taken(letter)
        elif letter.tries >= len(WAITS_S) or status == _GONE:
            self._telling.lost(letter.id, f"given up: {why}")
            await self._outbox.taken(letter)
        else:
            self._telling.lost(letter.id, why)
            due = self._clock.wall() + WAITS_S[letter.tries]
            await self._outbox.later(letter, int(due * 1000))
