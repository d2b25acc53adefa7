"""Whatever a caller says, no credential and no cookie of it goes on to another service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.service import read_services
from dragoman.core.call import Call
from dragoman.core.errors import CallerError
from dragoman.core.secret import Secret
from dragoman.credentials.reached import Reached
from dragoman.surface.service import _headers, _path, _query

pytestmark = pytest.mark.req("R-CRED-004", "R-AUTH-008")
SECRET = "callers-own-secret"
SENSITIVE = [
    "authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "host",
    "connection", "transfer-encoding", "content-length", "x-forwarded-for", "x-dragoman-caller", "forwarded", "te",
]  # fmt: skip
NAMES = st.sampled_from([*SENSITIVE, "accept", "content-type", "x-mine", "range"])


async def _nothing() -> bytes:
    return b""


def call(headers):
    return Call("0" * 32, "r", "1" * 32, "chat", "service", "/", None, headers, _nothing, 0.0, 0.0)


def service(**members):
    row = {"name": "corp", "base_url": "https://api.corp.example", **members}
    return Reached(read_services([row])["corp"], {"*": Secret("ours")})


@given(st.dictionaries(NAMES, st.just(SECRET)), st.lists(NAMES, max_size=6))
def test_no_credential_goes_on_whatever_the_operator_passes(said, passed):
    sent = _headers(call(said), service(pass_headers=passed))
    assert not {name for name in SENSITIVE[:10] if name in sent}
    assert all(
        name in {*passed, "accept", "content-type", "range"}
        for name in sent
        if sent[name] == SECRET
    )
    assert sent["accept-encoding"] == "identity"


def test_a_header_of_the_callers_goes_before_the_services_own():
    reached = service(headers={"Accept": "a/b", "X-Version": "1"}, pass_headers=["X-Version"])
    assert _headers(call({}), reached)["accept"] == "a/b"
    sent = _headers(call({"accept": "c/d", "x-version": "2"}), reached)
    assert (sent["accept"], sent["x-version"]) == ("c/d", "2")


@given(st.binary(max_size=40))
def test_a_path_that_only_resembles_the_row_is_none(raw):
    scope = {"raw_path": b"/services%2Fcorp/" + raw, "path": "/services/corp/x"}
    with pytest.raises(CallerError):
        _path(scope, "corp")


@given(st.text("ab/%.-_~", max_size=30))
def test_the_rest_of_a_path_is_kept_as_it_was_written(rest):
    scope = {"raw_path": f"/services/corp/{rest}".encode(), "path": "…"}
    assert _path(scope, "corp") == rest


def test_the_gateways_own_key_is_taken_out_of_the_query():
    scope = {"query_string": b"a=1&key=drg_x&keys=2&&b"}
    assert _query(scope) == "a=1&keys=2&b"
