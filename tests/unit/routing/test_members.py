"""No bytes within a member of a request make routing fail."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.ask import Ask
from dragoman.core.errors import CallerError
from dragoman.routing.conversation import conversation_of
from dragoman.routing.members import peek, peek_value, read_member
from dragoman.routing.needs import needs_of
from dragoman.routing.preferences import read_preferences
from dragoman.routing.wish import parse_wish

NO_UTF8 = b'"\xff"'
TOO_DEEP = b"[" * 20_000 + b"]" * 20_000
BROKEN = b'{"a":'
UNREADABLE = pytest.mark.parametrize(
    "raw", [NO_UTF8, TOO_DEEP, BROKEN], ids=["utf8", "deep", "broken"]
)


@UNREADABLE
def test_what_decides_is_refused_where_it_cannot_be_read(raw) -> None:
    for read in (
        lambda: read_member(msgspec.json.Decoder(), raw, "routing"),
        lambda: parse_wish(raw),
        lambda: parse_wish(None, raw),
        lambda: parse_wish(b'{"strategy": %b}' % raw),
        lambda: read_preferences(raw),
        lambda: read_preferences(b'{"order": [%b]}' % raw),
    ):
        with pytest.raises(CallerError) as refused:
            read()
        assert refused.value.status == 400


@UNREADABLE
def test_what_helps_to_choose_says_nothing_where_it_cannot_be_read(raw) -> None:
    assert peek_value(Raw(raw)) is None
    assert peek(msgspec.json.Decoder(list[Raw] | None), Raw(NO_UTF8), None) is None
    conversation_of({"prompt_cache_key": Raw(raw), "messages": Raw(raw), "system": Raw(raw)})


ODD = st.sampled_from(
    [
        NO_UTF8,
        BROKEN,
        b"[]",
        b"{}",
        b"null",
        b"1",
        b'"a"',
        b'[{"role":"\xff"}]',
        b'{"type":"\xc0"}',
    ]
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "messages",
                "contents",
                "input",
                "tools",
                "response_format",
                "reasoning_effort",
                "thinking",
                "max_tokens",
                "generationConfig",
                "prompt_cache_key",
                "system",
            ]
        ),
        ODD.map(Raw),
    )
)
def test_no_member_makes_needs_or_conversations_fail(members) -> None:
    ask = Ask(b"{}", members, "m", stream=False)
    needs_of(ask, "chat", "chat")
    conversation_of(members)
