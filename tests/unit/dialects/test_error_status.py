"""The status that is written down of a failure is the one that its caller gets, in every dialect."""

import itertools
from typing import get_args

import pytest

from dragoman.core.errors import CallerError, HouseError, Kind, UpstreamError
from dragoman.dialects.base import ErrorContext
from dragoman.dialects.registry import DIALECTS

BODIES = (
    None,
    b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
    b'{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}',
    b'{"error":"m"}',
)


@pytest.mark.req("R-USE-008")
@pytest.mark.parametrize("family", DIALECTS)
def test_a_status_can_be_told_without_its_reply(family):
    dialect = DIALECTS[family]
    seen = set()
    for kind, upstream, body in itertools.product(get_args(Kind), (None, 500, 529), BODIES):
        error = UpstreamError(kind, "m", code="c", upstream_status=upstream)
        error.body = body
        for one in (error, HouseError(kind, "m", code="c"), CallerError(kind, "m", code="c")):
            status = dialect.write_error(one, ErrorContext("r")).status
            assert dialect.error_status(one) == status
            seen.add(status)
    assert len(seen) > 8
