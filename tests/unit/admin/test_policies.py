"""A tenant has so many policies and no more: all processes have all of them in memory."""

import pytest

from dragoman.admin.policies import MOST, check_room
from dragoman.catalog.stored import Named, Overlay
from dragoman.core.errors import CallerError


def overlay(number, tenant="acme"):
    policies = [
        Named("policy", f"p{each}", ("openai/x",), tenant=tenant) for each in range(number)
    ]
    return Overlay(named=(*policies, Named("route", "r", ("openai/x",))))


def test_one_more_than_there_may_be_is_refused_and_others_are_not_counted():
    check_room(overlay(MOST - 1), "acme")
    check_room(overlay(MOST), "globex")
    with pytest.raises(CallerError) as refused:
        check_room(overlay(MOST), "acme")
    assert (refused.value.status, refused.value.code) == (429, "insufficient_quota")
