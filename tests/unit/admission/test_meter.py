"""What one key has used, and how that is kept where several processes find it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dragoman.admission.limits import Window
from dragoman.admission.meter import Meter, read_meter, write_meter
from dragoman.admission.ports import Short, Taken
from dragoman.admission.rules import Bound, Rule

RULE = Rule("requests", (Bound("rps", 5, 1.0), Bound("rpm", 40, 60.0)), total=0, places=2)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 6)), max_size=40))
def test_a_meter_goes_on_as_bytes_as_it_would_have(steps):
    kept, written, now = Meter(), b"", 1000.0
    for wait, amount in steps:
        now += wait
        place = f"p{amount}"
        meter = read_meter(written)
        assert meter.take(RULE, amount, now, place=place) == kept.take(
            RULE, amount, now, place=place
        )
        written = write_meter(meter)


def test_bytes_that_are_no_meter_are_a_new_one():
    for data in (b"", b"\x00", b"no meter", write_meter(Meter())[:-1]):
        assert isinstance(read_meter(data).take(RULE, 5, 1.0), Taken)


def test_as_much_is_taken_as_is_wanted_and_free():
    meter = Meter()
    rule = Rule("requests", (Bound("rpm", 10, 60.0),))
    assert meter.take(rule, 1, 1.0, most=7).amount == 7
    assert meter.take(rule, 1, 1.0, most=7).amount == 3
    assert isinstance(meter.take(rule, 1, 1.0, most=7), Short)


def test_a_window_tells_when_there_is_room_for_so_much():
    window = Window(60.0)
    for at in (0.0, 10.0, 20.0):
        window.count(at, 4)
    assert round(window.room_after(20.0, 2, 12)) == 40
    assert round(window.room_after(20.0, 5, 12)) == 50
    assert round(window.room_after(20.0, 12, 12)) == 60


def test_a_window_takes_back_no_more_than_was_counted():
    window = Window(60.0)
    window.count(1.0, 4)
    window.count(30.0, 2)
    window.correct(1.0, -9)
    assert window.used == 2
    window.correct(30.0, 5)
    window.correct(45.0, 5)  # nothing was counted then
    assert window.used == 7
