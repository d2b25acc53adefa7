"""The meters of the workers of one gateway, in files that all of them open: no request waits for a database.

Each key has a file for each unit. Whoever takes from it holds its lock for some 20 µs: it reads the
state, counts, writes it back, all of it in the memory of the system. What a worker that is killed has
written, it has written whole; its lock goes with it. The folder is the gateway's own and ends with it, so
that its times are those of one boot.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman.admission.meter import Meter, read_meter, write_meter
from dragoman.admission.ports import Taken
from dragoman.core.errors import HouseError
from dragoman.store.shared.ports import (
    PLACE_S,
    USED_S,
    Correction,
    Held,
    Leased,
    granted_places,
    held_by_key,
)

if TYPE_CHECKING:
    from dragoman.admission.ports import Past, Short, Unknown
    from dragoman.admission.rules import Rule, Unit

MOST_OPEN = 512
PATIENCE_S = 0.05
"""How long another worker's lock is waited for: it may have been stopped while it held it."""
LARGEST = 1 << 20


class HostCounter:
    """A ``SharedCounter`` of the processes of one host that have the folder."""

    def __init__(
        self, folder: Path, processes: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._processes = processes
        self._monotonic = monotonic
        self._open: OrderedDict[tuple[str, Unit], int] = OrderedDict()

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        most: int = 0,
        place: str | None = None,
        places: int = 1,
        spare: int = 0,
        past: Past | None = None,
        back: Sequence[str] = (),
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing."""
        now = self._monotonic()
        with self._meter(key_id, rule.unit) as meter:
            for name in back:
                _keep(meter, name, 0)
            found = meter.take(
                rule,
                amount,
                now,
                most=most,
                place=place,
                place_s=PLACE_S,
                past=past,
                used_s=USED_S,
            )
            if place is None or not (rule.places and isinstance(found, Taken)):
                return found
            granted = 1
            if places + spare > 1:
                meter.places = {name: until for name, until in meter.places.items() if until > now}
                # One is taken already.
                free = rule.places - len(meter.places) + 1
                granted = granted_places(free, places, spare)
                meter.places |= dict.fromkeys(_names(place, granted), now + PLACE_S)
            return Leased(found.at, found.amount, found.gauge, found.which, granted)

    async def correct(self, corrections: Sequence[Correction]) -> None:
        """Sets right what was taken."""
        for each in corrections:
            with self._meter(each.key_id, each.unit) as meter:
                for at, change in each.changes:
                    meter.correct(Taken(at, 0), change)
                for name, number in each.places:
                    _keep(meter, name, number)

    async def renew(self, held: Sequence[Held]) -> None:
        """Goes on holding places."""
        until = self._monotonic() + PLACE_S
        for key_id, names in held_by_key(held).items():
            with self._meter(key_id, "requests") as meter:
                for name, number in names.items():
                    meter.places |= dict.fromkeys(_names(name, number), until)

    async def processes(self) -> int:
        """How many workers there are, if what they have in common can be used."""
        with self._meter("", "requests"):
            return self._processes

    def close(self) -> None:
        """Closes the files."""
        while self._open:
            os.close(self._open.popitem()[1])

    @contextmanager
    def _meter(self, key_id: str, unit: Unit) -> Iterator[Meter]:
        """The state, as it was and as it will be, while nobody else has it."""
        try:
            file = self._file(key_id, unit)
            _lock(file)
        except OSError as error:
            raise _away(error.strerror or "it cannot be opened") from error
        try:
            meter = read_meter(os.pread(file, LARGEST, 0))
            yield meter
            data = write_meter(meter)
            os.pwrite(file, data, 0)
            os.ftruncate(file, len(data))
        except OSError as error:
            raise _away(error.strerror or "it cannot be written") from error
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _file(self, key_id: str, unit: Unit) -> int:
        name = (key_id, unit)
        file = self._open.get(name)
        if file is not None:
            self._open.move_to_end(name)
            return file
        if len(self._open) >= MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        digest = blake2b(key_id.encode(), digest_size=16).hexdigest()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        file = self._open[name] = os.open(self._folder / f"{digest}.{unit}", flags, 0o600)
        return file


def _names(place: str, number: int) -> list[str]:
    """The names under which a meter holds so many places of one name: it counts one for each."""
    return [place, *(f"{place}#{more}" for more in range(1, number))]


def _keep(meter: Meter, place: str, number: int) -> None:
    """So many of the places of that name are still held, and no more."""
    places = meter.places
    if not number:
        places.pop(place, None)
    more = max(1, number)
    while places.pop(f"{place}#{more}", None) is not None:
        more += 1


def _lock(file: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.00005)
        else:
            return


def _away(why: str) -> HouseError:
    return HouseError("overloaded", f"The table of limits cannot be used: {why}.", retryable=True)
