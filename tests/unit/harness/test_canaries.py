import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.canaries import mark, search


@pytest.mark.parametrize(
    "hide",
    [
        lambda secret: secret,
        bytes.hex,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda secret: base64.b64encode(b"user:" + secret + b":more"),
        lambda secret: base64.b64encode(b"user" + secret),
        lambda secret: json.dumps({"a": secret.decode()}),
        lambda secret: quote(secret.decode()),
    ],
)
@given(before=st.binary(max_size=40), behind=st.binary(max_size=40))
def test_a_mark_is_found_however_it_is_spelled(hide, before, behind):
    secret = mark().encode()
    hidden = hide(secret)
    data = before + (hidden if isinstance(hidden, bytes) else hidden.encode()) + behind
    (hit, *_) = search({"key": secret}, [("place", data)])
    assert (hit.what, hit.where) == ("key", "place")


@given(st.binary(max_size=200))
def test_where_there_is_no_mark_none_is_found(data):
    assert search({"key": mark().encode()}, [("place", data)]) == []
