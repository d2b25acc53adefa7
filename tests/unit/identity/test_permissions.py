"""What a role may reach."""

from __future__ import annotations

import pytest

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.identity.permissions import PERMISSIONS, permit

USER = Caller("id", "default")
ADMIN = Caller("id", "default", role="admin")


@pytest.mark.req("R-AUTH-010")
def test_a_user_is_refused_what_admins_may():
    with pytest.raises(CallerError) as refused:
        permit(USER, "admin")
    assert (refused.value.status, refused.value.kind) == (403, "permission")
    assert refused.value.code == "insufficient_permissions"


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_an_admin_may_everything(permission):
    permit(ADMIN, permission)


@pytest.mark.parametrize("permission", sorted(PERMISSIONS - {"admin", "tenant"}))
def test_a_user_may_everything_else(permission):
    permit(USER, permission)


def test_the_permissions_are_these():
    assert {
        "public",
        "completions",
        "models",
        "services",
        "usage",
        "tenant",
        "admin",
    } == PERMISSIONS
