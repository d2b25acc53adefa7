"""Several accounts in one file: read, taken over once, renewed each by itself, and taken in turns."""

import json
import random
import threading
import time
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from msgspec.structs import replace

from authorization_server import Family, authorization_server
from dragoman.catalog.login import read_logins
from dragoman.core.errors import HouseError
from dragoman.core.secret import Secret
from dragoman.credentials.account_work import AccountWork
from dragoman.credentials.accounts import Account, AccountsFile, read_account, write_account
from dragoman.credentials.fresh import FreshToken, LoginNeededError
from dragoman.credentials.ob1 import Ob1Tokens, with_organization
from dragoman.credentials.questions import Answer
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token import Token
from dragoman.transport.asking import asker

pytestmark = pytest.mark.req("R-CRED-010", "R-CRED-011", "R-CRED-012", "R-OB1-001")


@pytest.fixture
def server():
    with authorization_server(public=True) as up:
        yield up


@pytest.fixture
def file(tmp_path):
    return AccountsFile(tmp_path / "config" / "accounts.json", Sealing())


def account(name, ends=None, **members):
    token = Token(
        access=Secret(f"access-{name}"), refresh=Secret(f"refresh-{name}"), expires_at=ends
    )
    return Account(email=f"{name}@example.com", token=token, **members)


def tokens_at(server, file, mode="cache-first", **members):
    table = server.login_table(client_secret="", refresh_buffer_s=600)
    login = read_logins({"ob1": table}, {})["ob1"]

    def token_of(name):
        return FreshToken(login, file.shelf(name), asker(), whose=name)

    return Ob1Tokens(file, token_of, mode, **members)


def put(server, file, *names, ends_in_s=3600, **members):
    for name in names:
        told = server.issue(Family("", user=name))
        token = Token(
            access=Secret(told["access_token"]),
            refresh=Secret(told["refresh_token"]),
            expires_at=float(int(time.time() + ends_in_s)),
        )
        file.put(Account(email=name, token=token, **members))


def test_the_file_is_as_others_write_it(file):
    ada = account(
        "ada", 2e9, org_id="org_1", org_name="Ada's", user_id="u1", user_data={"id": "u1"}
    )
    file.put(ada)
    (kept,) = json.loads(file.path.read_text())
    assert kept == {
        "email": "ada@example.com",
        "access_token": "access-ada",
        "refresh_token": "refresh-ada",
        "expires_at": 2e9,
        "org_id": "org_1",
        "org_name": "Ada's",
        "user_id": "u1",
        "user_data": {"id": "u1"},
    }
    assert file.load() == (ada,)
    assert read_account(write_account(ada)) == ada
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "access" not in repr(ada)


def test_the_key_shown_upstream_names_the_organization():
    assert account("a").key.reveal() == "access-a"
    assert account("a", org_id="org_1").key.reveal() == "access-a:org_1"
    assert read_account({"access_token": "t", "org_id": "a\r\nb"}).key.reveal() == "t"


def test_a_second_login_of_an_account_takes_the_place_of_its_first(file):
    file.put(account("ada", org_id="org_1"))
    file.put(account("bob"))
    file.put(account("ada", 5e9))
    assert [(each.email, each.org_id) for each in file.load()] == [
        ("ada@example.com", "org_1"),
        ("bob@example.com", ""),
    ]
    assert (file.remove("ada@example.com"), file.remove("ada@example.com")) == (True, False)


@pytest.mark.parametrize("sealed", [False, True])
def test_who_has_logged_in_by_ob1s_own_program_is_taken_over_once(tmp_path, sealed):
    source = tmp_path / "credentials.json"
    said = {
        "access_token": "a",
        "refresh_token": "r",
        "expires_at": 1_900_000_000_500,
        "organization_id": "org_9",
        "user": {"id": "u9", "email": "ada@example.com"},
    }
    source.write_text(json.dumps({"oauth": said}))
    sealing = Sealing([Fernet(Fernet.generate_key())] if sealed else [])
    file = AccountsFile(tmp_path / "c" / "accounts.json", sealing, source)
    (taken,) = file.load()
    assert (taken.email, taken.org_id, taken.user_id) == ("ada@example.com", "org_9", "u9")
    assert taken.token.expires_at == 1_900_000_000.5
    assert (b"org_9" in file.path.read_bytes()) is not sealed
    source.write_text(json.dumps({"oauth": {**said, "user": {"email": "eve@example.com"}}}))
    assert [each.email for each in file.load()] == ["ada@example.com"]


@pytest.mark.parametrize(
    "text", ["{}", '{"oauth": {}}', '{"oauth": {"access_token": ""}}', "[]", '{"oauth": 7}']
)
def test_nobody_is_taken_over_from_an_empty_file(tmp_path, text):
    source = tmp_path / "credentials.json"
    source.write_text(text)
    assert AccountsFile(tmp_path / "accounts.json", Sealing(), source).load() == ()


def test_a_file_that_is_no_list_is_told(file):
    file.path.parent.mkdir()
    file.path.write_text('{"accounts": []}')
    with pytest.raises(HouseError, match="is no list of accounts"):
        file.load()


def test_two_accounts_are_renewed_beside_each_other_and_neither_is_lost(server, file):
    server.delay_s = 0.2
    put(server, file, "ada", "bob", ends_in_s=30)
    tokens = tokens_at(server, file)
    renewing = [
        threading.Thread(target=tokens._of(each).current) for each in file.load() for _ in range(5)
    ]
    for each in renewing:
        each.start()
    for each in renewing:
        each.join()
    assert server.count("refresh_token") == 2
    assert [form["client_id"] for form in server.forms("refresh_token")] == [server.client_id] * 2
    assert all(server.is_good(each.token.access.reveal()) for each in file.load())


def test_one_account_is_stayed_with_until_it_is_no_longer_good(server, file):
    put(server, file, "ada", "bob")
    ada, bob = (each.key for each in file.load())
    tokens = tokens_at(server, file)
    assert [tokens.get_api_key() for _ in range(3)] == [ada] * 3
    server.refresh.clear()
    kept = file.load()[0].token
    file.keep("ada", Token(access=kept.access, refresh=kept.refresh, expires_at=1.0))
    again = tokens_at(server, file)
    assert [again.get_api_key() for _ in range(3)] == [bob] * 3
    assert server.count("refresh_token") == 1


def test_turns_are_taken(server, file):
    put(server, file, "ada", "bob", "eve", org_id="org_1")
    keys = [each.key for each in file.load()]
    tokens = tokens_at(server, file, "balanced")
    assert [tokens.get_api_key() for _ in range(6)] == keys * 2
    assert keys[0].reveal().endswith(":org_1")
    dice = random.Random(3)
    taken = [tokens_at(server, file, "performance", dice=dice).get_api_key() for _ in range(60)]
    assert all(10 <= taken.count(key) <= 30 for key in keys)


def test_without_a_good_account_there_is_no_key(server, file):
    assert tokens_at(server, file).get_api_key() is None
    assert not tokens_at(server, file).refresh()
    put(server, file, "ada", ends_in_s=30)
    tokens = tokens_at(server, file)
    assert tokens.refresh()
    server.revoke_all()
    kept = file.load()[0].token
    file.keep("ada", Token(access=kept.access, refresh=kept.refresh, expires_at=1.0))
    tokens = tokens_at(server, file)
    assert tokens.get_api_key() is None
    assert not tokens.refresh()
    with pytest.raises(LoginNeededError, match=r"login of ob1 \(ada\).*again: dragoman ob1 auth"):
        tokens._of(file.load()[0]).current()


def test_a_service_that_is_down_leaves_a_token_alone_that_still_lasts(server, file):
    put(server, file, "ada", ends_in_s=300)
    server.failing = 9
    (ada,) = file.load()
    assert tokens_at(server, file).get_api_key() == ada.key


@pytest.mark.req("R-USE-010", "R-OB1-007")
def test_the_money_of_today_is_counted_and_begins_anew_at_midnight(server, file):
    wall = [1_795_737_600.0 - 1]  # a second before midnight UTC
    tokens = tokens_at(server, file, wall=lambda: wall[0])
    tokens.add_cost(Decimal("0.25"))
    tokens.add_cost(Decimal(0))
    assert tokens.today() == (Decimal("0.25"), 2)
    wall[0] += 2
    assert tokens.today() == (Decimal(0), 0)
    tokens.add_cost(Decimal("0.5"))
    assert tokens.today() == (Decimal("0.5"), 1)


@pytest.mark.parametrize(
    ("body", "org"),
    [
        (b'{"data": [{"organizationId": "org_5", "organizationName": "Five"}]}', "org_5"),
        (b'{"data": []}', ""),
        (b"<html>", ""),
        (b'{"data": [{"organizationId": "a b"}]}', ""),
        (b'{"data": [{"organizationId": 7}]}', ""),
        (b"[]", ""),
    ],
)
def test_an_organization_is_asked_for_and_done_without(body, org):
    login = read_logins({}, {})["ob1"]
    asked = []

    def ask(question):
        asked.append(question)
        return Answer(200, body)

    found = with_organization(account("a", user_id="u 1"), login, ask)
    assert found.org_id == org
    assert asked[0].url == f"{login.organizations_url}?user_id=u%201"
    assert with_organization(account("a", user_id="u", org_id="x"), login, None).org_id == "x"


class Slow:
    """A server of tokens that answers when it is told to."""

    def __init__(self, ask):
        self._ask = ask
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, question):
        answer = self._ask(question)
        self.asked.set()
        assert self.go.wait(10)
        return answer


@pytest.mark.req("R-ADM-011")
@pytest.mark.parametrize("how", ["taken over", "logged in"])
def test_what_comes_while_a_renewal_is_under_way_is_not_overwritten_by_it(server, file, how):
    """The answer of the renewal is of the login before, which may be over at any moment."""
    put(server, file, "ada", "bob")
    login = read_logins({"ob1": server.login_table(client_secret="", refresh_buffer_s=600)}, {})[
        "ob1"
    ]
    slow = Slow(asker())
    work = AccountWork(
        login,
        file,
        lambda name: FreshToken(login, file.shelf(name), slow, whose=name),
        asker(),
        file.path.parent,
    )
    newer = Token(access=Secret("newer"), refresh=Secret("newer-too"), expires_at=2e9)
    renewing = threading.Thread(target=work.renew, args=("ada",))
    renewing.start()
    assert slow.asked.wait(10)

    def bring():
        if how == "taken over":
            work.take([replace(account("x"), email=name, token=newer) for name in ("bob", "ada")])
        else:
            work.keep(replace(newer, extra={"user": {"id": "a", "email": "ada"}}))

    bringing = threading.Thread(target=bring)
    bringing.start()
    bringing.join(0.3)
    slow.go.set()
    for each in (renewing, bringing):
        each.join(10)
    found = {each.id: each.token.access.reveal() for each in file.load()}
    assert found["ada"] == "newer"
    assert (found["bob"] == "newer") == (how == "taken over")
    assert FreshToken(
        login, file.shelf("ada"), asker(), whose="ada"
    ).current().access.reveal() == ("newer")
