"""A service's answer that repeats our credential is passed on without it, however it comes in pieces (K8)."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.attempt.passing import Hiding

MASK = b"[redacted]"


@given(st.lists(st.text("ab", max_size=6), max_size=8), st.text("ab", min_size=1, max_size=5))
def test_however_it_is_cut_the_secret_is_taken_out_and_nothing_else(pieces, secret):
    hiding = Hiding(secret)
    told = b"".join(hiding.feed(piece.encode()) for piece in pieces) + hiding.rest
    assert told == "".join(pieces).encode().replace(secret.encode(), MASK)


def test_nothing_waits_that_the_secret_does_not_begin_with():
    hiding = Hiding("tok-123")
    assert hiding.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert hiding.feed(b"data: tok") == b"data: "
    assert hiding.feed(b"en\n\n") == b"token\n\n"
    assert hiding.rest == b""
