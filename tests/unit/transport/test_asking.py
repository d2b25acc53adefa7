"""What goes wrong with a question is told without anything of what was asked."""

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.credentials.questions import Question
from dragoman.transport.asking import asker
from raw_upstream import raw_upstream


@pytest.mark.parametrize(
    ("target", "headers"),
    [("/", {"authorization": "Bearer canary\r\nx: y"}), ("/?token=canary x", {})],
)
def test_a_header_or_address_that_cannot_be_sent_is_not_quoted(target, headers):
    with raw_upstream({}) as upstream, pytest.raises(UpstreamError) as failed:
        asker()(Question(f"http://127.0.0.1:{upstream.port}{target}", None, headers, 5.0))
    assert "canary" not in failed.value.message
