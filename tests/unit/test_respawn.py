"""A dead worker's successor begins at once; one that keeps dying waits longer each time."""

from dragoman.respawn import LONGEST_PAUSE_S, STEADY_S, Pace


def test_the_first_death_costs_no_pause_and_further_ones_double_it_up_to_a_bound():
    pace = Pace(0.0)
    now, pauses = 0.0, []
    for _ in range(10):
        now += 1
        pauses.append(pace.died(now))
        assert pace.due == now + pauses[-1]
        now += pauses[-1]
        pace.began(now)
        assert pace.due is None
    assert pauses == [0, 0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_who_has_lived_for_a_while_is_replaced_at_once_again():
    pace = Pace(0.0)
    for now in (1.0, 2.0, 3.0):
        pace.died(now)
        pace.began(now)
    assert pace.died(3.0 + STEADY_S) == 0
    pace.began(70.0)
    assert pace.died(71.0) == 0.5


def test_endless_deaths_overflow_nothing():
    pace = Pace(0.0)
    assert {pace.died(0.0) for _ in range(5000)} >= {LONGEST_PAUSE_S}
