"""What processes tell one another of health, and what becomes of two reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from dragoman.health.sharing import (
    MEMORY,
    RESTS_KEPT_S,
    BreakerTold,
    Entry,
    FiguresTold,
    RestTold,
    Sharing,
    Spot,
    State,
    SwitchTold,
    encode_state,
    merged,
    read_entry,
)

OFFSET = 1_790_000_000.0


class Table:
    """A record in memory."""

    def __init__(self) -> None:
        self.states: dict[Spot, State] = {}

    def exchange(self, told: list[Entry]) -> list[Entry]:
        for entry in told:
            state = merged(self.states.get(entry.spot), entry.state)
            kept = read_entry(
                (entry.spot.kind, entry.spot.provider, entry.spot.model, entry.spot.credential),
                encode_state(state),
            )
            assert kept == Entry(entry.spot, state)
            self.states[entry.spot] = state
        return [Entry(*item) for item in self.states.items()]


class Side:
    """One process."""

    def __init__(self, table: Table, offset: float = OFFSET) -> None:
        self.health = Health(disabling=DisablingPolicy(over_s=0, failures=1))
        self.sharing = Sharing(self.health, offset)
        self.table = table
        self.offset = offset

    def exchange(self, now: float) -> int:
        told = self.sharing.told(now, now + self.offset)
        found = self.table.exchange(told)
        self.sharing.settled(told)
        self.sharing.learn(found, now)
        return len(told)

    def answered(self, now: float, first_event_s: float = 1.0, model: str = "m") -> None:
        self.health.statistics.answered(
            "p",
            model,
            "k",
            now,
            known=True,
            first_event_s=first_event_s,
            reply_s=None,
            tokens_per_s=None,
        )


@pytest.mark.req("R-PROV-003")
def test_counts_add_up_whoever_tells_first() -> None:
    table = Table()
    one, two = Side(table), Side(table)
    for _ in range(3):
        one.answered(1)
    two.health.statistics.failed("p", "m", "k", 2, known=True)
    for _ in range(3):
        for side in (one, two):
            side.exchange(3)
    for side in (one, two):
        for place in (("p",), ("p", "m"), ("p", "m", "k")):
            found = side.health.statistics.places[place]
            assert (found.requests, found.failures) == (4, 1)
            assert (found.new_requests, found.new_failures) == (0, 0)
            assert found.first_event_s == 1.0
    assert one.exchange(4) == 0
    assert one.health.paces.of("p", "m").first_event_s == 1.0


@pytest.mark.req("R-PROV-003")
def test_figures_of_another_address_are_not_taken_over_and_give_way() -> None:
    table = Table()
    one, two = Side(table), Side(table)
    one.health.settle({"p": "http://old.test", "q": "http://q.test"})
    for _ in range(3):
        one.answered(1, 9.0)
    one.exchange(2)
    two.health.settle({"p": "http://new.test", "q": "http://q.test"})
    two.exchange(3)
    assert two.health.statistics.of("p") is None
    assert two.health.paces.of("p", "m") is None
    two.answered(4, 0.5)
    two.exchange(5)
    stored = table.states[Spot("figures", "p", "*", "*")]
    assert (stored.requests, stored.first_event_s) == (1, 0.5)


@pytest.mark.req("R-PROV-003")
def test_who_is_elsewhere_from_now_on_begins_anew_and_nobody_else_does() -> None:
    table = Table()
    side = Side(table)
    where = {"p": "http://old.test", "q": "http://q.test"}
    side.health.settle(where)
    side.answered(1)
    side.health.statistics.failed("q", "m", "k", 1, known=True)
    told = side.sharing.told(2, 2 + OFFSET)
    side.health.settle({**where, "p": "http://new.test"})
    side.answered(3)
    # What was under way to the record was of the old address.
    found = table.exchange(told)
    side.sharing.settled(told)
    side.sharing.learn(found, 3)
    assert (side.health.statistics.of("p").requests, side.health.statistics.of("q").failures) == (
        1,
        1,
    )
    side.exchange(4)
    assert table.states[Spot("figures", "p", "m", "k")].requests == 1
    assert table.states[Spot("figures", "q", "m", "k")].requests == 1


def test_figures_without_an_address_are_of_any() -> None:
    table = Table()
    old, new = Side(table), Side(table)
    old.answered(1)
    old.exchange(2)
    new.health.settle({"p": "http://p.test"})
    new.exchange(3)
    assert new.health.statistics.of("p").requests == 1
    new.answered(4)
    new.exchange(5)
    assert table.states[Spot("figures", "p", "*", "*")].requests == 2


def test_what_happens_while_the_record_is_asked_is_told_next_time() -> None:
    table = Table()
    side = Side(table)
    side.answered(1)
    told = side.sharing.told(1, 1 + OFFSET)
    side.answered(2)
    found = table.exchange(told)
    side.sharing.settled(told)
    side.sharing.learn(found, 2)
    assert side.health.statistics.of("p").requests == 2
    assert side.exchange(3) == 3
    assert table.states[Spot("figures", "p", "*", "*")].requests == 2


def test_a_report_that_did_not_arrive_is_told_again() -> None:
    table = Table()
    side = Side(table)
    side.answered(1)
    assert side.sharing.told(1, 1 + OFFSET) == side.sharing.told(1, 1 + OFFSET)
    side.exchange(2)
    assert table.states[Spot("figures", "p", "m", "k")].requests == 1


def test_of_two_averages_each_weighs_as_many_requests_as_it_is_newer_by() -> None:
    stored = FiguresTold(10, 0, 0.0, 5, first_event_s=1.0)
    told = FiguresTold(9, 3, 0.4, 4, first_event_s=2.0, new_requests=3, new_failures=1)
    # The teller knew of 6 of the 10.
    found = merged(stored, told)
    assert found == FiguresTold(
        13, 1, pytest.approx(0.4 * 3 / 7), 5, first_event_s=pytest.approx((4 + 6) / 7)
    )
    alone = merged(FiguresTold(6, 0, 0.0, 5, first_event_s=1.0), told)
    assert alone.first_event_s == 2.0
    long_ago = merged(FiguresTold(10**6, 0, 0.0, 5, first_event_s=1.0), told)
    assert long_ago.first_event_s == pytest.approx((MEMORY + 6) / (MEMORY + 3))


NUMBER = st.integers(0, 1000)
FIGURES = st.builds(
    FiguresTold,
    requests=NUMBER,
    failures=NUMBER,
    errors=st.floats(0, 1),
    at_ms=NUMBER,
    first_event_s=st.none() | st.floats(0, 100),
    new_requests=NUMBER,
    new_failures=NUMBER,
)


@given(FIGURES, FIGURES)
def test_two_figures_make_one_between_them(stored, told):
    found = merged(stored, told)
    least, most = sorted((stored.errors, told.errors))
    assert least - 1e-9 <= found.errors <= most + 1e-9
    assert found.new_requests == 0
    assert found.requests == stored.requests + told.new_requests


@pytest.mark.req("R-PROV-004")
def test_one_disables_the_other_learns_it_and_the_other_way_round() -> None:
    table = Table()
    one, two = Side(table), Side(table, OFFSET - 500)
    one.health.disabling.failed("p", "m", 10)
    one.exchange(11)
    two.exchange(511)
    assert two.health.is_off("p", "m", 511) == "model"
    assert two.health.is_off("p", "m", 10 + 500 + 60) is None
    two.health.disabling.answered("p", "m", 571)
    two.exchange(572)
    one.exchange(73)
    assert not one.health.disabling.is_disabled("p", "m")
    assert one.health.disabling.switches == two.health.disabling.switches == {}
    # What was once told is not told again.
    assert one.exchange(74) == two.exchange(574) == 0
    assert not one.health.disabling.is_disabled("p", "m")


@pytest.mark.req("R-PROV-004")
def test_a_process_that_begins_learns_who_is_disabled_and_who_rests() -> None:
    table = Table()
    before = Side(table)
    for model in ("a", "b"):
        before.health.disabling.failed("p", model, 0)
    before.health.rests.quarantine("p", "k", 1)
    before.health.spent.cool("p", "k", "m", 1, 40)
    before.exchange(2)
    after = Side(table, OFFSET + 1000)
    after.exchange(-998 + 10)
    assert after.health.disabling.models_off("p") == ["a", "b"]
    assert after.health.is_off("p", "c", -988) == "provider"
    assert after.health.rests.back_at("p", "k", "x", -988) == pytest.approx(1 + 300 - 1000)
    assert after.health.spent.back_at("p", "k", "m", -988) == pytest.approx(41 - 1000)
    after.health.rests.release("p", "k", "x", -980)
    after.exchange(-979)
    before.exchange(21)
    assert not before.health.rests.rests("p", "k", "x", 21)


def test_probes_are_shared_so_that_there_is_one_in_an_interval() -> None:
    table = Table()
    one, two = Side(table), Side(table)
    one.health.disabling.failed("p", "m", 0)
    one.exchange(1)
    two.exchange(1)
    one.health.disabling.tried("p", "m", 61)
    one.exchange(62)
    two.exchange(62)
    assert two.health.is_off("p", "m", 63) == "model"


def test_names_that_no_column_takes_and_models_that_nobody_knows_stay_here() -> None:
    side = Side(Table())
    side.answered(1, model="m" * 513)
    side.answered(1, model="m\x00")
    side.health.statistics.failed("q", "unknown", "k", 1, known=False)
    side.health.disabling.failed("p", "m" * 513, 1)
    side.health.rests.cool("p", "k", "m" * 513, 1, 60)
    told = side.sharing.told(1, 1 + OFFSET)
    assert {(entry.spot.provider, entry.spot.model) for entry in told} == {("p", "*")}


def test_after_the_machine_has_slept_reports_have_the_right_time() -> None:
    table = Table()
    side = Side(table)
    side.health.disabling.failed("p", "m", 10)
    side.exchange(11)
    side.offset += 8 * 3600
    side.health.disabling.answered("p", "m", 20)
    side.exchange(21)
    state = table.states[Spot("switch", "p", "m", "*")]
    assert state == SwitchTold(
        off=False,
        at_ms=round((20 + side.offset) * 1000),
        probe_ms=round((80 + side.offset) * 1000),
    )


def test_rests_that_are_long_over_are_forgotten() -> None:
    side = Side(Table())
    side.health.rests.cool("p", "k", "m", 0, 60)
    assert side.exchange(1) == 1
    assert side.exchange(RESTS_KEPT_S + 1) == 0
    assert side.health.rests.turned == {}
    assert len(side.sharing._said) == 0


@pytest.mark.parametrize(
    ("spot", "state"),
    [
        (("figures", "p", "m", "k"), "{}"),
        (("figures", "p", "m", "k"), '{"type":"tomorrow"}'),
        (("tomorrow", "p", "m", "k"), '{"type":"rest","at_ms":1}'),
        (("rest", "p", "m"), '{"type":"rest","at_ms":1}'),
        (("rest", "p", "m", "k"), b"\xff"),
    ],
)
def test_what_a_newer_version_has_written_is_left_alone(spot, state) -> None:
    assert read_entry(spot, state) is None


def test_states_of_another_kind_do_not_merge() -> None:
    rest, switch = RestTold(5, 9), SwitchTold(off=True, at_ms=1, probe_ms=2)
    assert merged(rest, switch) == switch
    assert merged(switch, rest) == rest
    assert merged(rest, RestTold(4, None)) == rest


KEY = ("p", "m", "k")


def open_at(side: Side, now: float) -> None:
    for _ in range(5):
        side.health.breakers.failed(KEY, now)


@pytest.mark.req("R-REL-002")
def test_an_opened_breaker_is_known_to_the_others_and_so_is_that_it_was_closed() -> None:
    table = Table()
    one, two = Side(table), Side(table, OFFSET + 1000)
    open_at(one, 0)
    one.exchange(1)
    two.exchange(1 - 1000)
    assert two.health.breakers.state(KEY, 29 - 1000) == "open"
    assert not two.health.breakers.admits(KEY, 29 - 1000)
    assert two.health.breakers.state(KEY, 31 - 1000) == "half_open"
    # Each probes by itself; who has seen it well spares the others their own.
    assert two.health.breakers.admits(KEY, 31 - 1000)
    for _ in range(2):
        one.health.breakers.succeeded(KEY, 32)
    one.exchange(33)
    two.exchange(33 - 1000)
    assert two.health.breakers.state(KEY, 33 - 1000) == "closed"
    # There is nothing more to say, whoever asks.
    assert one.exchange(34) == two.exchange(34 - 1000) == 0


@pytest.mark.req("R-REL-002")
def test_of_two_reports_of_a_breaker_the_later_one_is_true() -> None:
    table = Table()
    one, two = Side(table), Side(table)
    open_at(one, 0)
    one.exchange(1)
    two.exchange(1)
    two.health.forget("p", 5)
    open_at(one, 31)  # half open: a probe fails after the other has closed it
    two.exchange(32)
    one.exchange(33)
    two.exchange(34)
    assert two.health.breakers.state(KEY, 60) == "open"
    assert merged(BreakerTold(5, 9), BreakerTold(4)) == BreakerTold(5, 9)
    assert merged(BreakerTold(5, 9), BreakerTold(6)) == BreakerTold(6)


@pytest.mark.req("R-REL-002")
def test_a_breaker_whose_process_is_gone_is_over_by_itself_and_never_lasts_longer_than_ones_own() -> (
    None
):
    table = Table()
    gone, late, fast = Side(table), Side(table), Side(table)
    open_at(gone, 0)
    gone.exchange(1)
    late.exchange(30.5)
    assert late.health.breakers.state(KEY, 30.5) == "closed"
    spot = Spot("breaker", *KEY)
    at_ms = round(OFFSET * 1000) + 2000
    table.states[spot] = BreakerTold(at_ms, at_ms + 900_000)
    fast.exchange(3)
    assert fast.health.breakers.back_in_s(KEY, 3) == pytest.approx(30)
    assert fast.exchange(4) == 0
    assert fast.exchange(RESTS_KEPT_S + 3) == 0
    assert fast.health.breakers.turned == {}


def test_a_breaker_of_another_address_says_nothing() -> None:
    table = Table()
    one, two = Side(table), Side(table)
    one.health.settle({"p": "http://old.test"})
    two.health.settle({"p": "http://new.test"})
    open_at(one, 0)
    one.exchange(1)
    two.exchange(1)
    assert two.health.breakers.state(KEY, 1) == "closed"
    two.exchange(2)
    assert one.exchange(2) == 0


def test_what_closes_elsewhere_leaves_the_counts_of_a_closed_breaker_alone() -> None:
    side = Side(Table())
    for _ in range(4):
        side.health.breakers.failed(KEY, 10)
    side.sharing.learn([Entry(Spot("breaker", *KEY), BreakerTold(round(OFFSET * 1000)))], 11)
    side.health.breakers.failed(KEY, 11)
    assert side.health.breakers.state(KEY, 11) == "open"
