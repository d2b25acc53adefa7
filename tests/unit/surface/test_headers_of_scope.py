"""A request's headers by their names."""

from __future__ import annotations

import pytest

from dragoman.surface.head import headers_of_scope


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ([], {}),
        ([(b"host", b"a"), (b"x-empty", b"")], {"host": "a", "x-empty": ""}),
        ([(b"x-one", b"1"), (b"x-one", b"2")], {"x-one": "2"}),
        # But for the list to which each proxy may add a line.
        (
            [(b"x-forwarded-for", b"1"), (b"x-one", b"1"), (b"x-forwarded-for", b"2, 3")],
            {"x-forwarded-for": "1, 2, 3", "x-one": "1"},
        ),
        (
            [(b"x-one", b"1"), (b"x-one", b"2"), (b"x-forwarded-for", b"1")],
            {"x-one": "2", "x-forwarded-for": "1"},
        ),
        ([(b"x-name", "ä".encode())], {"x-name": "Ã¤"}),
        # No parser lets it through; if one did, what follows it would not become another header.
        ([(b"x-one", b"1\0x-two"), (b"x-two", b"2")], {"x-one": "1\0x-two", "x-two": "2"}),
    ],
)
def test_headers_are_by_name_and_of_repeated_ones_the_last_counts(given, headers):
    assert headers_of_scope({"headers": given}) == headers
