"""What may be asked, and what is refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import UpstreamError
from dragoman.library.answer import Came, read_reply
from dragoman.library.failures import CallError
from dragoman.library.messages import messages_of

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.req("R-CFG-002")
@given(
    st.lists(st.dictionaries(st.text(), _JSON).map(lambda d: {**d, "role": "user"}), min_size=1)
)
def test_messages_pass_unchanged(messages):
    before = repr(messages)
    assert messages_of(messages, None) == messages
    assert repr(messages) == before


@pytest.mark.req("R-CFG-001", "R-CFG-018")
@pytest.mark.parametrize(
    ("messages", "prompt", "told"),
    [
        (None, None, "No messages were given"),
        ([], None, "No messages were given"),
        (None, "  ", "No messages were given"),
        ([{"role": "user"}], "hi", "both"),
        ("hi", None, "a text goes in prompt"),
        ([{"content": "x"}], None, r"messages\[0\]"),
        ([{"role": "user"}, "x"], None, r"messages\[1\]"),
        (None, 3, "prompt must be a string"),
    ],
)
def test_what_is_no_message_is_refused_in_plain_words(messages, prompt, told):
    with pytest.raises(CallError, match=told) as refused:
        messages_of(messages, prompt)
    assert refused.value.code == "invalid_messages"


@given(st.binary(max_size=200) | _JSON.map(lambda value: repr(value).encode()))
def test_bytes_that_are_no_answer_are_an_error_of_ours(body):
    with pytest.raises(UpstreamError, match="no chat completion"):
        read_reply(Came(body, None, None, None), "me")
