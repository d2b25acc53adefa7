"""Whose credential a call of another service is made with: the tenant's own, what is written for it, everybody's."""

import pytest

from dragoman.catalog.service import read_services
from dragoman.core.errors import CallerError
from dragoman.core.provider import Credential
from dragoman.core.secret import Secret
from dragoman.credentials.reached import Reached

pytestmark = pytest.mark.req("R-CRED-004", "R-AUTH-008")

HERE, ELSEWHERE = "https://api.corp.example:443", "https://api.other.example:443"
SERVICE = read_services([{"name": "corp", "base_url": "https://api.corp.example/v2"}])["corp"]


def reached(**held):
    return Reached(
        SERVICE, {name.replace("all", "*"): Secret(each) for name, each in held.items()}
    )


def own(name, origin=HERE):
    return Credential(f"own_{name}", Secret(name), origin)


def shown(found):
    return [(each.held.reveal(), each.own) for each in found]


def test_what_was_brought_goes_first_then_what_is_named_then_what_is_everybodys():
    both = reached(acme="named", all="everybody's")
    assert shown(both.of("acme", [own("a"), own("b")])) == [("a", "own_a"), ("b", "own_b")]
    assert shown(both.of("acme")) == [("named", None)]
    assert shown(both.of("other")) == [("everybody's", None)]
    assert reached(acme="named").of("other") == ()


def test_who_may_use_its_own_alone_has_what_is_named_for_it_and_not_what_is_everybodys():
    both = reached(acme="named", all="everybody's")
    assert shown(both.of("acme", own_only=True)) == [("named", None)]
    assert both.of("other", own_only=True) == ()
    assert shown(both.of("other", [own("a")], own_only=True)) == [("a", "own_a")]


def test_what_was_stored_for_another_address_is_not_sent_and_nobody_elses_is_instead():
    both = reached(acme="named", all="everybody's")
    with pytest.raises(CallerError, match="stored for another address") as caught:
        both.of("acme", [own("a", ELSEWHERE)])
    assert caught.value.code == "no_own_credential"
    assert shown(both.of("acme", [own("a", ELSEWHERE), own("b")])) == [("b", "own_b")]
