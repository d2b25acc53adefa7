"""Rows of tiers.json: whose each is, and what of them is newer than what is stored."""

import pytest

from dragoman.catalog.stored import StoredTier
from dragoman.config.settings import ConfigError
from dragoman.core.call import Limits
from dragoman.data_tiers import changed, with_stored

pytestmark = pytest.mark.req("R-STOR-001", "R-TIER-001")
GOLD = StoredTier("gold", Limits(rpm=7), 1, 10)
ROW = {"rpm": 7, "stored_ms": 10}


@pytest.mark.parametrize(
    ("rows", "stored", "made"),
    [
        ({}, [], {}),
        ({"own": {"rps": 1}}, [GOLD], {"own": {"rps": 1}, "gold": ROW}),
        ({"gold": {"rps": 1}}, [GOLD], {"gold": {**ROW, "hides": {"rps": 1}}}),
        ({"gold": {}}, [GOLD], {"gold": {**ROW, "hides": {}}}),
        ({"gold": ROW}, [], {}),
        ({"gold": {**ROW, "hides": {"rps": 1}}}, [], {"gold": {"rps": 1}}),
        # Changed by somebody since it was written; and by an administrator since.
        ({"gold": {**ROW, "rpm": 9}}, [GOLD], {"gold": {**ROW, "rpm": 9}}),
        (
            {"gold": {"rpm": 9, "stored_ms": 9, "hides": {"rps": 1}}},
            [GOLD],
            {"gold": {**ROW, "hides": {"rps": 1}}},
        ),
    ],
)
def test_the_file_tells_what_is_stored_and_keeps_what_is_not(rows, stored, made):
    assert with_stored(rows, stored) == made
    assert with_stored(made, stored) == made


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        (ROW, []),
        (None, []),
        ({"rpm": 9}, []),
        ({**ROW, "rpm": 9, "stored_ms": 9}, []),
        ({**ROW, "rpm": 9, "stored_ms": 11}, []),
        ({**ROW, "rpm": 9, "hides": {"rps": 1}}, [Limits(rpm=9)]),
        ({"stored_ms": 10}, [Limits()]),
    ],
)
def test_only_a_change_of_what_is_stored_now_is_newer(row, limits):
    found = changed({"gold": row} if row is not None else {}, [GOLD], "here")
    assert [tier.limits for tier in found] == limits


def test_what_is_no_limit_is_told_with_its_place():
    with pytest.raises(ConfigError, match="here: tier 'gold': rpm must be a whole number"):
        list(changed({"gold": {**ROW, "rpm": "many"}}, [GOLD], "here"))
