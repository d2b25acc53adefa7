"""Cursors are callers' words: one that no page gave is refused, and never a question that a database cannot take."""

import pytest

from dragoman.core.cursor import cursor_of, place_of
from dragoman.core.errors import CallerError


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ((2**70, "x"), tuple[int, str]),
        ((-(2**63) - 1, "x"), tuple[int, str]),
        ((1, "a\0b"), tuple[int, str]),
        ("\0", str),
        (2**63, int),
        (("a", "\0"), tuple[str, ...]),
        (["a"], str),
    ],
)
def test_a_place_that_no_database_has_is_no_cursor(place, kind):
    with pytest.raises(CallerError) as refused:
        place_of(cursor_of(place), kind)
    assert (refused.value.param, refused.value.status) == ("cursor", 400)


@pytest.mark.parametrize(
    ("place", "kind"),
    [((1_790_000_000_000, "kéy"), tuple[int, str]), ("acme", str), (("a", "", "-5"), tuple[str, ...])],
)  # fmt: skip
def test_a_page_goes_on_where_it_ended(place, kind):
    assert place_of(cursor_of(place), kind) == place
