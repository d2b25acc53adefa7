"""What weighs of another dialect's members."""

import pytest
from msgspec import Raw

from dragoman.dialects.foreign import weighs


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("background", b"true", True),
        ("background", b"false", False),
        ("background", b"null", False),
        ("mcp_servers", b"[]", False),
        ("container", b"{}", True),
        ("moderation", b'{"model":"omni-moderation-latest"}', False),
        ("moderation", b'{"model":"m","policy":null}', False),
        ("moderation", b'{"model":"m","policy":{"block":["hate"]}}', True),
        ("moderation", b'{"policy":"strict"}', True),
        ("moderation", b'"strict"', True),
        ("moderation", b'"\xff"', True),
    ],
)
def test_a_member_weighs_where_its_absence_would_change_the_answer(name, said, expected):
    assert weighs(name, Raw(said)) is expected
