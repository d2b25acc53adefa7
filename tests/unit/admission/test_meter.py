"""What one key has used, and how that is kept where several processes find it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.admission.limits import Window
from dragoman.admission.meter import Meter, read_meter, write_meter
from dragoman.admission.ports import NO_PAST, Short, Taken
from dragoman.admission.rules import Bound, Rule
from sampling import examples

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


LAWS = st.sampled_from(
    [
        Rule(
            "requests", (Bound("rps", 40, 1.0), Bound("rpm", 45, 60.0), Bound("rpd", 90, 86_400.0))
        ),
        Rule("requests", (Bound("rps", 30, 1.0), Bound("rpm", 60, 60.0)), places=3),
        Rule("tokens", (Bound("tpm", 70, 60.0), Bound("tpd", 70, 86_400.0)), total=150),
        Rule("tokens", (Bound("tpd", 90, 86_400.0),)),
        Rule("tokens", (), total=60),
        Rule("requests", (), places=2),
    ]
)
acts = st.tuples(
    st.sampled_from(["take", "take", "take", "place", "correct", "note", "leave", "clock back"]),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.0, 0.0, 0.0005, 0.002, 0.01, 0.3, 2.0, 70.0]),
)


@given(st.lists(LAWS, min_size=1, max_size=2), st.lists(acts, max_size=80))
@settings(max_examples=examples(400), deadline=None)
def test_a_lull_changes_nothing(rules, acts):
    quick, slow, now = Meter(), Meter(), 1000.0
    taken = []
    for number, (what, amount, wait) in enumerate(acts):
        now += -wait / 100 if what == "clock back" else wait
        rule = rules[number * len(rules) // len(acts)]
        place = f"p{number}" if what == "place" else None
        match what:
            case "correct" if taken:
                last = taken.pop()
                for meter in (quick, slow):
                    meter.correct(last, amount - 5)
            case "note":
                quick.note(rule, amount + 1, now)
                slow.rouse()
                slow.is_told = True
                for bound in rule.bounds:
                    slow._window(bound, now).count(now, amount + 1)
            case "leave":
                for meter in (quick, slow):
                    meter.places.pop(f"p{number - amount}", None)
            case _:
                said = {"place": place, "past": NO_PAST}
                found = slow.take(rule, amount, now, **said)
                at_once = quick.take_now(rule, amount, now, place)
                assert found == (at_once or quick.take(rule, amount, now, **said))
                if isinstance(found, Taken):
                    taken.append(found)
    assert write_meter(quick) == write_meter(slow)


def test_of_many_at_once_few_look_at_the_windows():
    meter = Meter()
    rule = Rule("requests", (Bound("rps", 1000, 1.0), Bound("rpm", 30_000, 60.0)))
    at_once = 0
    for _ in range(1000):
        found = meter.take_now(rule, 1, 1000.001, None)
        at_once += found is not None
        assert isinstance(found or meter.take(rule, 1, 1000.001), Taken)
    assert at_once == 998
    assert meter.take_now(rule, 1, 1000.001, None) is None
    assert isinstance(meter.take(rule, 1, 1000.001), Short)
