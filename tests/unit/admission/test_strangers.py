"""How often an address without a key may come (R-TIER-009)."""

from __future__ import annotations

import pytest

from dragoman.admission.strangers import Strangers
from dragoman.core.errors import CallerError


class Time:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def admitted(strangers, address="192.0.2.1", times=1):
    count = 0
    for _ in range(times):
        try:
            strangers.admit(address)
        except CallerError:
            continue
        count += 1
    return count


@pytest.mark.req("R-TIER-009")
def test_each_span_has_its_own_limit_and_says_when_to_come_back():
    time = Time()
    strangers = Strangers((2, 5, 8), time)
    assert admitted(strangers, times=10) == 2
    with pytest.raises(CallerError) as error:
        strangers.admit("192.0.2.1")
    assert (error.value.status, error.value.code) == (429, "rate_limited")
    assert error.value.retry_after_s == 1.0
    time.now += 1
    assert admitted(strangers, times=10) == 2
    time.now += 1
    assert admitted(strangers, times=10) == 1
    time.now += 60
    assert admitted(strangers, times=10) == 2
    time.now += 1
    assert admitted(strangers, times=10) == 1
    time.now += 3600
    assert admitted(strangers, times=10) == 0
    time.now += 86_400
    assert admitted(strangers, times=10) == 2


def test_a_refused_request_counts_nowhere():
    time = Time()
    strangers = Strangers((1, 3, 0), time)
    assert admitted(strangers, times=50) == 1
    for _ in range(2):
        time.now += 1
        assert admitted(strangers, times=50) == 1
    time.now += 1
    assert admitted(strangers) == 0


def test_addresses_are_counted_apart_and_a_network_of_ipv6_is_one():
    strangers = Strangers((1, 0, 0), Time())
    assert admitted(strangers, "192.0.2.1") == admitted(strangers, "192.0.2.2") == 1
    assert admitted(strangers, "2001:db8::1") == 1
    assert admitted(strangers, "2001:db8::ffff:1") == 0
    assert admitted(strangers, "2001:db8:0:1::1") == 1
    assert admitted(strangers, "-") == 1


def test_zero_is_no_limit_and_several_processes_share_one():
    assert admitted(Strangers((0, 0, 0), Time()), times=100) == 100
    assert admitted(Strangers((8, 0, 0), Time(), share=4), times=100) == 2
    assert admitted(Strangers((2, 0, 0), Time(), share=4), times=100) == 1


def test_a_flood_of_addresses_does_not_grow_without_end():
    strangers = Strangers((1, 0, 0), Time())
    for number in range(5000):
        strangers.admit(f"10.0.{number // 256}.{number % 256}")
    assert len(strangers._seen) == 4096
