"""The forms in which files keep a token: read again as it was, and read by Google's own library as well."""

import json
import time

import pytest
from cryptography.fernet import Fernet
from google.oauth2.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import HouseError
from dragoman.core.secret import Secret
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token import (
    GIVER,
    Token,
    is_for,
    read_google,
    read_own,
    seconds_of,
    write_google,
    write_own,
)
from dragoman.credentials.token_file import TokenFile

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
TOKEN = st.builds(
    Token,
    access=WORD.map(Secret),
    refresh=st.none() | WORD.map(Secret),
    expires_at=st.none() | st.integers(10**9, 4 * 10**9).map(float),
    scopes=st.lists(WORD, max_size=3).map(tuple),
    lost=st.text(max_size=20).map(str.strip),
    extra=st.dictionaries(st.sampled_from(["user", "token_type", "id"]), WORD, max_size=2),
)


@given(TOKEN)
def test_a_token_is_read_as_it_was_written(token):
    assert read_own(json.loads(json.dumps(write_own(token)))) == token


@given(TOKEN.filter(lambda token: token.expires_at is not None))
def test_so_is_one_in_googles_form(token):
    assert read_google(json.loads(json.dumps(write_google(token)))) == token


@pytest.mark.req("R-CRED-005")
def test_googles_library_reads_our_file_and_we_read_its():
    token = Token(
        access=Secret("ya29.a"),
        refresh=Secret("1//r"),
        expires_at=float(int(time.time()) + 600),
        scopes=("https://www.googleapis.com/auth/drive.file",),
        extra={
            "client_id": "c",
            "client_secret": "s",
            "token_uri": "https://oauth2.googleapis.com/token",
        },
    )
    theirs = Credentials.from_authorized_user_info(write_google(token))
    assert (theirs.token, theirs.refresh_token, theirs.valid) == ("ya29.a", "1//r", True)
    again = read_google(json.loads(theirs.to_json()))
    assert (again.access, again.refresh, again.expires_at, again.scopes) == (
        token.access,
        token.refresh,
        token.expires_at,
        token.scopes,
    )


@pytest.mark.parametrize("table", [{}, {"access_token": 7}, {"access_token": ""}, {"token": "x"}])
def test_what_is_no_token_is_none(table):
    assert read_own(table) is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000_123, 1_700_000_000.123),
        ("1700000000", 1_700_000_000),
        ("2026-11-27T05:00:00.000000Z", 1_795_755_600),
        ("2026-11-27T06:00:00+01:00", 1_795_755_600),
        ("2026-11-27T05:00:00", 1_795_755_600),
        ("soon", None),
        (True, None),
        (float("nan"), None),
        (-5, None),
        (None, None),
    ],
)
def test_moments_are_read_in_every_spelling(said, seconds):
    assert seconds_of(said) == seconds


@pytest.mark.req("R-CRED-001")
def test_a_file_is_sealed_where_there_is_a_key_and_says_what_is_wrong(tmp_path):
    old, new = Fernet(Fernet.generate_key()), Fernet(Fernet.generate_key())
    token = Token(access=Secret("plain-access"), refresh=Secret("plain-refresh"))
    file = tmp_path / "t.json"
    TokenFile(file, Sealing([old])).save(token)
    assert b"plain" not in file.read_bytes()
    assert TokenFile(file, Sealing([new, old])).load() == token
    with pytest.raises(HouseError, match="not opened by any key"):
        TokenFile(file, Sealing([new])).load()
    with pytest.raises(HouseError, match="sealed by FERNET_KEY or a keyring"):
        TokenFile(file, Sealing()).load()
    file.write_text("{half")
    with pytest.raises(HouseError, match="is damaged: it is no JSON"):
        TokenFile(file, Sealing()).load()
    TokenFile(file, Sealing()).save(token)
    assert TokenFile(file, Sealing([new])).load() == token, "a key that came later opens nothing"


def test_no_token_shows_itself():
    extra = {"client_secret": "plain-secret"}
    token = Token(access=Secret("plain-access"), refresh=Secret("plain-refresh"), extra=extra)
    assert "plain" not in repr(token)


@pytest.mark.parametrize(
    ("giver", "url", "same"),
    [
        (None, "https://id.example/token", True),
        ("https://id.example/token", "https://id.example/v2/token", True),
        ("https://id.example/token", "https://id.example:8443/token", False),
        ("https://id.example/token", "http://id.example/token", False),
        ("https://id.example/token", "https://id.example.evil/token", False),
        (
            "https://accounts.google.com/o/oauth2/token",
            "https://oauth2.googleapis.com/token",
            True,
        ),
        ("https://oauth2.googleapis.com/token", "http://oauth2.googleapis.com/token", False),
        ("https://oauth2.googleapis.com/token", "https://storage.googleapis.com/evil", False),
    ],
)
def test_a_token_is_for_the_server_that_gave_it(giver, url, same):
    token = Token(access=Secret("a"), extra={} if giver is None else {GIVER: giver})
    assert is_for(token, url) is same
