"""One resolver for every header that may carry a credential."""

from __future__ import annotations

import itertools

import pytest

from dragoman.core.errors import CallerError
from dragoman.identity.proof import read_proof

CARRIERS = {
    "authorization": ({"authorization": "Bearer {}"}, {}),
    "x-api-key": ({"x-api-key": "{}"}, {}),
    "api-key": ({"api-key": "{}"}, {}),
    "x-goog-api-key": ({"x-goog-api-key": "{}"}, {}),
    "key": ({}, {"key": "{}"}),
}


def carried(via: str, key: str) -> tuple[dict[str, str], dict[str, str]]:
    headers, query = CARRIERS[via]
    return (
        {name: form.format(key) for name, form in headers.items()},
        {name: form.format(key) for name, form in query.items()},
    )


@pytest.mark.req("R-AUTH-001")
@pytest.mark.parametrize("via", CARRIERS)
def test_every_carrier_gives_the_same_credential(via):
    proof = read_proof(*carried(via, "drg_test"))
    assert proof is not None
    assert (proof.value, proof.via) == ("drg_test", via)


@pytest.mark.parametrize(("one", "two"), [*itertools.combinations(CARRIERS, 2)])
def test_the_same_credential_twice_is_one(one, two):
    (headers, query), (more_headers, more_query) = carried(one, "k" * 9), carried(two, "k" * 9)
    proof = read_proof(headers | more_headers, query | more_query)
    assert proof is not None
    assert proof.value == "k" * 9


@pytest.mark.parametrize(("one", "two"), [*itertools.combinations(CARRIERS, 2)])
def test_two_different_credentials_are_refused_unsaid(one, two):
    (headers, query), (more_headers, more_query) = carried(one, "first1"), carried(two, "second")
    with pytest.raises(CallerError) as refused:
        read_proof(headers | more_headers, query | more_query)
    assert refused.value.status == 400
    assert refused.value.code == "conflicting_credentials"
    assert "first1" not in refused.value.message
    assert "second" not in refused.value.message
    assert repr(one) in refused.value.message
    assert repr(two) in refused.value.message


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer   "},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "drg_test"},
        {"x-api-key": "  "},
    ],
)
def test_blank_and_foreign_schemes_are_no_credential(headers):
    assert read_proof(headers, {}) is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case_and_spaces_around_the_key_are_not_part_of_it(scheme):
    proof = read_proof({"authorization": f"{scheme}  drg_test "}, {})
    assert proof is not None
    assert proof.value == "drg_test"


def test_a_proof_does_not_show_its_value():
    assert "drg_test" not in repr(read_proof({"api-key": "drg_test"}, {}))
