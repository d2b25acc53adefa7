"""What has expired is removed in small batches with pauses, for as long as the process lives."""

from __future__ import annotations

import asyncio

import pytest

from dragoman.keeping.sweep import BATCH, BETWEEN_S, REST_S, START_S, sweep
from memory_responses import MemoryResponses


class Expiring(MemoryResponses):
    """Has so many rows that have expired, and fails where it is None."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    async def expire(self, most):
        assert most == BATCH
        gone = self.batches.pop(0)
        if gone is None:
            raise ZeroDivisionError
        return gone


def swept(batches):
    store, pauses, failures = Expiring(batches), [], []

    async def pause(seconds):
        pauses.append(seconds)
        if not store.batches:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sweep(store, failures.append, pause))
    return pauses, failures


def test_it_goes_on_while_there_is_something_and_rests_otherwise():
    pauses, failures = swept([BATCH, 7, 0])
    assert pauses == [START_S, BETWEEN_S, BETWEEN_S, REST_S]
    assert failures == []


def test_a_failure_is_told_and_the_next_sweep_comes():
    pauses, failures = swept([None, 0])
    assert pauses == [START_S, REST_S, REST_S]
    assert isinstance(failures[0], ZeroDivisionError)
