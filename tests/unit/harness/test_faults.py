"""The fault proxy itself: each of its faults does what it says, and only to the direction that it is told."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from harness.faults import KINDS, Fault, proxying, seeded

DATA = bytes(range(256)) * 40


@contextmanager
def sender(data):
    """Sends this to whoever connects, and closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def read_through(*faults):
    """What comes through a proxy with these faults, how long it took, and what struck."""
    with sender(DATA) as port, proxying(port, lambda _: faults) as proxy:
        began = time.monotonic()
        got = b""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as line:
            while piece := line.recv(65536):
                got += piece
        return got, time.monotonic() - began, dict(proxy.struck)


@pytest.mark.req("U9")
def test_a_narrow_line_loses_nothing_and_takes_its_time():
    """Only the least time is judged: a busy machine may take longer."""
    got, seconds, struck = read_through(Fault("bandwidth", "down", 240, rate=10_000))
    assert got == DATA
    assert struck == {"bandwidth": 1}
    assert seconds >= (len(DATA) - 240) / 10_000 * 0.95


def test_the_other_direction_of_a_narrow_line_is_not_struck():
    got, _, struck = read_through(Fault("bandwidth", "up", 0, rate=1))
    assert (got, struck) == (DATA, {})


def test_a_cut_is_at_the_byte_that_was_said():
    got, _, struck = read_through(Fault("cut", "down", 1000))
    assert (got, struck) == (DATA[:1000], {"cut": 1})


def test_slices_and_delays_lose_nothing():
    got, seconds, struck = read_through(
        Fault("slice", "down", 10, size=3), Fault("delay", "down", 20, seconds=0.2)
    )
    assert (got, struck) == (DATA, {"slice": 1, "delay": 1})
    assert seconds >= 0.19


def test_the_same_seed_rolls_the_same_faults_and_all_kinds_of_them():
    plans = [[seeded(3, 2000)(number) for number in range(30)] for _ in range(2)]
    assert plans[0] == plans[1]
    assert {fault.kind for faults in plans[0] for fault in faults} == set(KINDS)
