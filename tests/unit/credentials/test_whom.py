"""Whom a credential may be stored for, by whom, and under which name."""

import pytest

from dragoman.catalog.load import load_providers
from dragoman.catalog.service import read_services
from dragoman.core.errors import CallerError
from dragoman.credentials.whom import find, whom

pytestmark = pytest.mark.req("R-AUTH-009", "R-CRED-004")

SERVICES = read_services(
    [
        {"name": "github", "bring": True},
        {"name": "openai", "base_url": "https://tickets.corp.example/v1", "bring": True},
        {"name": "vault", "base_url": "http://10.0.0.7/api"},
    ]
)


@pytest.fixture(scope="module")
def registry():
    return load_providers({"OPENAI_API_KEY": "sk-" + "x" * 40})


def test_a_bare_name_is_a_providers_first_and_a_services_then(registry):
    found = whom("openai", registry, SERVICES)
    assert (found.name, found.origin) == ("openai", "https://api.openai.com:443")
    assert found.fault("short") is not None
    found = whom("services/openai", registry, SERVICES)
    assert (found.name, found.origin) == ("services/openai", "https://tickets.corp.example:443")
    assert found.fault("short") is None
    assert whom("github", registry, SERVICES).name == "services/github"
    # A provider that lacks a key alone is there for who brings one.
    assert whom("anthropic", registry, SERVICES).name == "anthropic"


def test_a_tenant_brings_for_those_alone_that_say_so_and_is_not_told_of_others(registry):
    assert whom("vault", registry, SERVICES).name == "services/vault"
    for said in ("vault", "services/vault"):
        with pytest.raises(CallerError, match="There is no provider or service") as caught:
            whom(said, registry, SERVICES, by_tenant=True)
        assert "services/vault" not in caught.value.message.partition(";")[2]
    assert whom("github", registry, SERVICES, by_tenant=True).bring


def test_who_is_gone_or_is_another_surface_of_somebody_is_not_stored_for(registry):
    assert find("services/gone", registry, SERVICES) is None
    with pytest.raises(CallerError, match="nearest: services/github"):
        whom("githubb", registry, SERVICES)
    with pytest.raises(CallerError, match="another surface of openai"):
        whom("openai-responses", registry, SERVICES)
