"""Logging in against a server that follows the RFCs: by a browser, by a device code, by being who we are."""

import socket
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
from msgspec import structs

from authorization_server import authorization_server
from browsing import browse, fetch
from dragoman.catalog.login import read_logins
from dragoman.catalog.schema import CatalogError
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.core.secret import Secret
from dragoman.credentials.fresh import FreshToken
from dragoman.credentials.log_in import log_in, revoke
from dragoman.credentials.protocol import (
    RefusalError,
    code_of_redirect,
    device_code_of,
    new_grant,
    refresh_question,
    secrets_of,
    token_of,
)
from dragoman.credentials.questions import Answer, Question
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token_file import TokenFile
from dragoman.transport.asking import asker

pytestmark = pytest.mark.req("R-CRED-005", "R-CRED-012")

ASKED = Question("http://127.0.0.1/token", "grant_type=refresh_token&refresh_token=r")


@pytest.fixture
def server():
    with authorization_server() as up:
        yield up


def login_at(server, **members):
    return read_logins({"here": server.login_table(**members)}, {})["here"]


def by_browser(server, login, visit=browse, patience_s=5):
    return log_in(login, asker(), visit=visit, type_in=print, patience_s=patience_s)


def by_device(server, login, typed=lambda code: None, slept=None):
    def type_in(code):
        typed(code)
        server.typed = True

    sleep = (slept if slept is not None else []).append
    return log_in(login, asker(), visit=print, type_in=type_in, sleep=sleep)


def test_a_browser_brings_a_token_by_code_and_pkce(server):
    token = by_browser(server, login_at(server))
    assert server.is_good(token.access.reveal())
    assert token.scopes == ("read", "write")
    (asked,) = server.forms("/authorize")
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 43
    (form,) = server.forms("authorization_code")
    assert len(form["code_verifier"]) >= 43
    assert form["redirect_uri"] == asked["redirect_uri"]


def test_a_secret_goes_into_the_header_where_the_server_wants_it_there(server):
    server.basic_only = True
    assert by_browser(server, login_at(server, client_auth="basic")).refresh
    (form,) = server.forms("authorization_code")
    assert "client_secret" not in form
    with pytest.raises(RefusalError, match="invalid_client"):
        by_browser(server, login_at(server))


def test_a_person_who_says_no_is_believed(server):
    server.denied = True
    with pytest.raises(RefusalError, match="access_denied"):
        by_browser(server, login_at(server))


def test_an_answer_of_another_attempt_is_not_taken_and_the_wait_goes_on(server):
    def visit(url):
        _, back = fetch(url)
        parts = urlsplit(back)
        query = {name: each[0] for name, each in parse_qs(parts.query).items()}
        forged = f"{parts.scheme}://{parts.netloc}{parts.path}?" + urlencode(
            {**query, "state": "x", "code": "stolen"}
        )

        def come_back():
            assert fetch(forged)[0] == 400
            assert fetch(f"{parts.scheme}://{parts.netloc}/favicon.ico?")[0] == 404
            assert fetch(back)[0] == 200

        threading.Thread(target=come_back, daemon=True).start()

    assert by_browser(server, login_at(server), visit).refresh


def test_the_issuer_is_compared_where_one_is_named(server):
    server.issuer = "https://other.example.com"
    login = login_at(server, issuer="https://right.example.com")
    with pytest.raises(HouseError, match="Nobody has logged in"):
        by_browser(server, login, patience_s=0.6)
    server.issuer = "https://right.example.com"
    assert by_browser(server, login).refresh


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "state=&code=x", "state=wrong&code=x", "code=x&state=wrong&state=wrong"],
)
def test_a_redirect_without_our_state_is_refused(server, query):
    login = login_at(server)
    with pytest.raises(HouseError) as caught:
        code_of_redirect(login, new_grant("http://127.0.0.1:1/"), f"http://127.0.0.1:1/?{query}")
    assert caught.value.code == "wrong_state"


def test_nobody_who_logs_in_is_not_waited_for_forever(server):
    with pytest.raises(HouseError, match=r"within 0\.3 seconds"):
        by_browser(server, login_at(server), print, patience_s=0.3)


def test_a_port_that_is_taken_is_told(server):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        login = login_at(server, redirect=f"http://127.0.0.1:{holder.getsockname()[1]}/")
        with pytest.raises(HouseError, match="cannot be listened on"):
            by_browser(server, login)


def test_a_device_code_is_shown_and_asked_for_until_it_is_typed(server):
    server.pending, server.slow_downs, server.interval = 2, 1, 3
    shown, slept = [], []
    login = login_at(server, grant="device_code")
    token = by_device(server, login, shown.append, slept)
    assert server.is_good(token.access.reveal())
    assert (shown[0].user_code, shown[0].url) == ("WDJB-MJHT", f"{server.url}/type-it")
    assert slept == [3, 8, 8, 8]
    assert "device_code" not in repr(shown[0]) or shown[0].code.reveal() not in repr(shown[0])


def test_a_device_code_may_be_refused_or_run_out(server):
    login = login_at(server, grant="device_code")
    server.denied = True
    with pytest.raises(RefusalError, match="access_denied: the person said no"):
        by_device(server, login)
    server.denied, server.pending, server.interval = False, 1000, 60
    with pytest.raises(
        HouseError, match="was not typed in time; begin anew: dragoman auth login here"
    ):
        by_device(server, login)


def test_a_program_logs_in_as_itself(server):
    login = login_at(server, grant="client_credentials", token_params={"audience": "us"})
    token = log_in(login, asker(), visit=print, type_in=print)
    assert (server.is_good(token.access.reveal()), token.refresh) == (True, None)
    assert server.forms("client_credentials")[0]["audience"] == "us"


def test_a_token_is_taken_back_with_all_that_came_of_it(server):
    login = login_at(server)
    token = by_browser(server, login)
    assert revoke(login, token, asker())
    assert not server.is_good(token.access.reveal())
    assert revoke(login, token, asker()), "who is gone is gone (RFC 7009, 2.2)"
    assert not revoke(login_at(server, revoke_url=""), token, asker())


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (400, b'{"error":"invalid_grant","error_description":"gone."}', "invalid_grant: gone"),
        (401, b'{"error":"invalid_client"}', "invalid_client"),
        (200, b'{"error":"bad_verification_code"}', "bad_verification_code"),
        (200, b"error=access_denied", "access_denied"),
    ],
)
def test_refusals_of_the_protocol_keep_their_word(server, status, body, word):
    with pytest.raises(RefusalError, match=word):
        token_of(login_at(server), ASKED, Answer(status, body), 0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token":7}'),
        (200, b'{"access_token":"a\\r\\nb"}'),
        (200, b"\xff\xfe"),
        (302, b""),
        (429, b'{"error":"slow"}'),
        (500, b'{"error":"invalid_grant"}'),
        (404, b"not here"),
    ],
)
def test_what_is_no_answer_of_the_protocol_is_trouble_and_not_the_end_of_a_login(
    server, status, body
):
    with pytest.raises(UpstreamError, match=f"answered {status}"):
        token_of(login_at(server), ASKED, Answer(status, body), 0)


@pytest.mark.parametrize("client_auth", ["basic", "body"])
def test_what_a_server_quotes_of_what_it_was_shown_is_told_to_nobody(server, client_auth):
    login = login_at(server, client_auth=client_auth)
    question = refresh_question(login, Secret("the-refresh/token+1"))
    told = f"the-refresh/token+1 of {server.client_id} ({server.client_secret}) is over"
    body = msgspec.json.encode({"error": "invalid_grant", "error_description": told})
    with pytest.raises(RefusalError) as caught:
        token_of(login, question, Answer(400, body), 0)
    assert caught.value.said == "invalid_grant: [redacted] of client-1 ([redacted]) is over"
    assert server.client_secret not in caught.value.message
    assert set(secrets_of(question)) >= {"the-refresh/token+1", server.client_secret}


def test_a_token_in_a_form_is_read_as_well(server):
    token = token_of(login_at(server), ASKED, Answer(200, b"access_token=abc&expires_in=60"), 1000)
    assert (token.access.reveal(), token.expires_at) == ("abc", 1060)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"token_url": "http://example.com/token"}, "token_url must be https"),
        ({"token_url": ""}, "token_url is missing"),
        ({"authorize_url": ""}, "needs authorize_url"),
        ({"redirect": "https://example.com/"}, "redirect must be http on this machine"),
        ({"scops": ["x"]}, "did you mean 'scopes'"),
        ({"grant": "password"}, "Invalid enum value 'password'"),
        ({"name": "other"}, "leave `name` out"),
    ],
)
def test_a_place_that_is_wrongly_described_is_refused(server, members, told):
    with pytest.raises(CatalogError, match=told):
        login_at(server, **members)


def test_nobody_logs_in_as_nobody(server):
    with pytest.raises(HouseError, match=r"say client_id in \[oauth.here\]"):
        by_browser(server, login_at(server, client_id=""))


def test_secrets_do_not_show(server):
    assert server.client_secret not in repr(login_at(server))


@pytest.mark.parametrize(
    "page", ["file:///etc/passwd", "javascript:alert(1)", "-new-tab", "http://example.com/d", ""]
)
@pytest.mark.parametrize("member", ["verification_uri", "verification_uri_complete"])
def test_nobody_is_sent_anywhere_but_to_a_page(server, page, member):
    """A browser is opened at what the server says, and opens files and programs as well."""
    told = {
        "device_code": "d",
        "user_code": "U",
        "verification_uri": "https://example.com/device",
        member: page,
    }
    answer = Answer(200, msgspec.json.encode(told))
    if member == "verification_uri_complete" and not page:
        assert device_code_of(login_at(server), ASKED, answer).whole_url == ""
        return
    with pytest.raises(UpstreamError):
        device_code_of(login_at(server), ASKED, answer)


def test_a_token_is_shown_to_no_other_server_than_the_one_that_gave_it(server, tmp_path):
    """Whoever changes the address, as a cloned folder's dragoman.toml may, does not come by the refresh token."""
    login = login_at(server)
    shelf = TokenFile(tmp_path / "secrets" / "here.json", Sealing())
    fresh = FreshToken(login, shelf, asker())
    fresh.keep(by_browser(server, login))
    heard = []
    moved = structs.replace(
        login, token_url="https://evil.example/token", revoke_url="https://evil.example/revoke"
    )
    elsewhere = FreshToken(moved, shelf, heard.append)
    token = shelf.load()
    with pytest.raises(HouseError, match="another address") as refused:
        elsewhere.renewed(token.access.reveal())
    assert refused.value.code == "login_needed"
    with pytest.raises(HouseError, match="another address"):
        revoke(moved, token, heard.append)
    assert heard == []
    assert shelf.load() == token, "nothing is lost: where it was made it is good"
    assert fresh.renewed(token.access.reveal()).access != token.access


@pytest.mark.parametrize("query", ["?a&b", "?&=", "?" + "&".join(["a=b"] * 100), ""])
def test_whatever_a_stranger_asks_the_address_for_is_refused_and_no_failure(server, query):
    login = login_at(server, issuer="https://id.example")
    grant = new_grant("http://127.0.0.1:1/")
    with pytest.raises(HouseError) as refused:
        code_of_redirect(login, grant, f"http://127.0.0.1:1/{query}")
    assert refused.value.code == "wrong_issuer"
