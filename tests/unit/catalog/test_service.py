"""Other APIs as data, and paths that never leave their address."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.schema import CatalogError
from dragoman.catalog.service import one_service, read_services, shipped, target_of
from dragoman.core.errors import CallerError, GatewayError

pytestmark = pytest.mark.req("R-CRED-006")
PLAIN = {"name": "corp", "base_url": "https://api.corp.example/v2/"}


def corp(**members):
    return read_services([{**PLAIN, **members}])["corp"]


def test_every_shipped_file_is_a_service_with_a_way_to_a_credential():
    assert {"github", "gitlab", "googleapis", "notion", "slack"} <= set(shipped())
    for name in shipped():
        service = one_service([], name)
        assert service.base_url.startswith("https://")
        assert service.env or service.login
        assert not service.credentials


def test_a_row_adjusts_a_shipped_file_or_describes_its_own():
    rows = [{"name": "github", "base_url": "https://git.corp.example/api/v3"}, PLAIN]
    found = read_services(rows)
    assert found["github"].base_url == "https://git.corp.example/api/v3"
    assert found["github"].env == ("GITHUB_TOKEN", "GH_TOKEN")
    assert found["corp"].base_url == "https://api.corp.example/v2"
    with pytest.raises(CatalogError, match="did you mean 'github'"):
        one_service(rows, "githb")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"name": "A/b"}, "small letters"),
        ({"base_url": "ftp://x"}, "absolute http"),
        ({"base_url": "https://user@x"}, "must not hold a user"),
        ({"base_url": ""}, "base_url is missing"),
        ({"metods": ["GET"]}, "methods"),
        ({"methods": ["TRACE"]}, "methods must be of"),
        ({"timeout_s": 0}, "above 0"),
        ({"credentials": [{"key": "k"}]}, "tenant"),
        ({"credentials": [{"tenant": "a"}]}, "either key or login"),
        ({"credentials": [{"tenant": "a", "key": "k", "login": "l"}]}, "either key or login"),
        ({"credentials": [{"tenant": "a", "key": "k"}, {"tenant": "a", "key": "l"}]}, "one cred"),
    ],
)
def test_a_row_that_is_wrong_is_refused_and_its_key_is_not_told(members, told):
    with pytest.raises(CatalogError, match=told):
        corp(**members)


def test_no_key_is_ever_printed():
    assert "s3cret" not in repr(corp(credentials=[{"tenant": "a", "key": "s3cret"}]))


@pytest.mark.parametrize(
    "path",
    [
        "..", "../x", "a/../../x", "a/%2e%2e/x", "%2E%2E/x", "a/%252e%252e/x", ".", "a/./b", "a\\..\\b",
        "%5c..%5cx", "a%5C..%5Cb", "a b", "a#b", "a?b", "é", "a\nb", "a%0ab", "a%00", "..%2fx", "..%5Cx",
    ],
)  # fmt: skip
def test_a_path_that_would_leave_the_address_is_refused(path):
    with pytest.raises(CallerError):
        target_of(corp(), path)


@pytest.mark.parametrize("query", ["a=b c", "a#b", "a=é", "a=\n", "x" * 9000])
def test_a_query_that_is_none_is_refused(query):
    with pytest.raises(CallerError):
        target_of(corp(), "a", query)


def test_an_ordinary_path_goes_below_the_base():
    assert target_of(corp(), "a/b%2Fc", "x=1&y=%20") == (
        "https://api.corp.example/v2/a/b%2Fc?x=1&y=%20"
    )
    assert target_of(corp(), "//evil.example/x") == "https://api.corp.example/v2/evil.example/x"
    assert target_of(corp(), "@evil.example") == "https://api.corp.example/v2/@evil.example"


def test_only_the_paths_that_are_said_are_reached():
    service = corp(paths=["/repos/acme", "user"])
    for path in ("repos/acme", "repos/acme/x", "user"):
        assert target_of(service, path)
    for path in ("repos/acmeevil", "users", "", "orgs"):
        with pytest.raises(CallerError) as refused:
            target_of(service, path)
        assert refused.value.status == 403


@given(st.text(max_size=60), st.text(max_size=30))
def test_whatever_is_said_stays_at_the_address(path, query):
    try:
        url = target_of(corp(), path, query)
    except GatewayError:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("https", "api.corp.example")
    assert parts.path.startswith("/v2/")
    assert ".." not in unquote(unquote(parts.path)).replace("\\", "/").split("/")
