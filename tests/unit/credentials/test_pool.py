"""Several keys take turns, each by its weight."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.schema import Keyed
from dragoman.core.provider import Credential
from dragoman.core.secret import Secret
from dragoman.credentials.pool import Pool, Pools


def keyed(*weights: int) -> list[Keyed]:
    return [
        Keyed(Credential(f"key-{number}", Secret("x"), "https://h:443"), weight)
        for number, weight in enumerate(weights, 1)
    ]


def firsts(pool: Pool, turns: int) -> list[str]:
    return [pool.turn()[0].id for _ in range(turns)]


def test_one_key_is_always_its_turn() -> None:
    assert firsts(Pool(keyed(1)), 3) == ["key-1"] * 3


def test_equal_keys_take_turns() -> None:
    assert firsts(Pool(keyed(1, 1, 1)), 6) == ["key-1", "key-2", "key-3"] * 2


def test_a_heavier_key_comes_oftener_and_not_in_a_heap() -> None:
    assert firsts(Pool(keyed(3, 1)), 8) == ["key-1", "key-1", "key-2", "key-1"] * 2


def test_the_others_follow_in_the_order_of_their_turns() -> None:
    pool = Pool(keyed(1, 1, 1))
    assert [item.id for item in pool.turn()] == ["key-1", "key-2", "key-3"]
    assert [item.id for item in pool.turn()] == ["key-2", "key-3", "key-1"]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_over_a_round_every_key_gets_exactly_its_share(weights) -> None:
    pool = Pool(keyed(*weights))
    total = sum(weights)
    seen = Counter(firsts(pool, total * 2))
    assert [seen[f"key-{number}"] for number in range(1, len(weights) + 1)] == [
        2 * weight for weight in weights
    ]
    assert sorted(item.id for item in pool.turn()) == sorted(
        f"key-{number}" for number in range(1, len(weights) + 1)
    )


def test_a_provider_without_keys_has_none_to_show() -> None:
    pools = Pools({"a": keyed(1), "b": []})
    assert [item.id for item in pools.turn("a")] == ["key-1"]
    assert pools.turn("b") == ()
    assert pools.turn("c") == ()


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.data())
def test_who_is_well_has_exactly_its_share_of_the_turns(weights, data) -> None:
    pool = Pool(keyed(*weights))
    ids = [f"key-{number}" for number in range(1, len(weights) + 1)]
    well = data.draw(st.sets(st.sampled_from(ids)))
    taking = well or set(ids)
    turns = Counter(
        pool.turn(lambda key: key.id in well)[0].id
        for _ in range(sum(weights[ids.index(one)] for one in taking))
    )
    assert turns == {one: weights[ids.index(one)] for one in taking}
    assert all(len({key.id for key in pool.turn()}) == len(weights) for _ in range(3))
