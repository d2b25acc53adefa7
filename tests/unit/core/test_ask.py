"""What the matched route says of a request: the model in its path, and whether it streams."""

import pytest

from dragoman.core.ask import read_ask
from dragoman.core.errors import CallerError


@pytest.mark.pitfall(121)
@pytest.mark.parametrize(
    ("streams", "said", "found"),
    [
        ("if_said", b"{}", False),
        ("if_said", b'{"stream":null}', False),
        ("if_said", b'{"stream":true}', True),
        ("unless_said", b"{}", True),
        ("unless_said", b'{"stream":null}', True),
        ("unless_said", b'{"stream":false}', False),
        ("always", b'{"stream":false}', True),
        ("never", b'{"stream":true}', False),
    ],
)
def test_a_request_streams_as_its_route_says(streams, said, found):
    assert read_ask(said, "a/b", streams).stream is found


def test_the_model_of_the_path_counts_and_none_in_the_body():
    assert read_ask(b'{"model":7}', "google/gemini-3").model == "google/gemini-3"
    assert read_ask(b'{"model":"m"}').model == "m"
    with pytest.raises(CallerError, match="names no model"):
        read_ask(b"{}")
