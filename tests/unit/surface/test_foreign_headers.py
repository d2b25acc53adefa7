"""Headers of other gateways' callers, in our own words."""

from __future__ import annotations

import timeit

import pytest

from dragoman.surface.foreign_headers import FOREIGN, with_ours


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ({"x-litellm-timeout": "2.5"}, {"x-dragoman-timeout-ms": "2500"}),
        ({"x-portkey-request-timeout": "2500"}, {"x-dragoman-timeout-ms": "2500"}),
        ({"x-portkey-trace-id": "run-7"}, {"x-request-id": "run-7"}),
        ({"x-litellm-trace-id": "a:b"}, {"x-request-id": "a:b"}),
        ({"x-litellm-end-user-id": "u1"}, {"x-openwebui-user-id": "u1"}),
        ({"helicone-user-id": "u1"}, {"x-openwebui-user-id": "u1"}),
        (
            {"x-portkey-metadata": '{"_user":"u1","n":1}'},
            {"x-openwebui-user-id": "u1", "x-dragoman-tags": "n=1"},
        ),
        ({"x-litellm-tags": "nightly, team=search"}, {"x-dragoman-tags": "nightly,team=search"}),
        (
            {"x-litellm-spend-logs-metadata": '{"team":"search","tags":["a","b"],"x":{"y":1}}'},
            {"x-dragoman-tags": "a,b,team=search"},
        ),
        (
            {"cf-aig-metadata": '{"team":"AI","user":12345,"test":true}'},
            {"x-dragoman-tags": "team=AI,user=12345,test=true"},
        ),
        (
            {
                "helicone-auth": "Bearer drg_x",
                "helicone-property-app": "mail",
                "helicone-property-b": "x,y",
            },
            {"x-api-key": "drg_x", "x-dragoman-tags": "app=mail"},
        ),
        (
            {"x-bf-vk": "drg_x", "x-bf-dim-team": "search"},
            {"x-api-key": "drg_x", "x-dragoman-tags": "team=search"},
        ),
        ({"x-litellm-num-retries": "2"}, {"x-dragoman-max-attempts": "3"}),
        ({"x-litellm-num-retries": "0"}, {"x-dragoman-max-attempts": "1"}),
        ({"x-portkey-retry-count": "5"}, {"x-dragoman-max-attempts": "6"}),
        ({"x-portkey-retry-count": "99"}, {"x-dragoman-max-attempts": "10"}),
        ({"cf-aig-max-attempts": "3"}, {"x-dragoman-max-attempts": "3"}),
        ({"cf-aig-request-timeout": "2500"}, {"x-dragoman-timeout-ms": "2500"}),
        ({"cf-aig-skip-cache": "true"}, {"x-dragoman-cache": "false"}),
        ({"cf-aig-cache-ttl": "60"}, {"cache-control": "max-age=60"}),
        ({"helicone-cache-enabled": "true"}, {"x-dragoman-cache": "true"}),
        ({"x-portkey-cache-force-refresh": "true"}, {"cache-control": "no-cache"}),
        ({"x-bf-vk": "drg_x"}, {"x-api-key": "drg_x"}),
        ({"x-litellm-api-key": "Bearer drg_x"}, {"x-api-key": "drg_x"}),
        ({"helicone-auth": "Bearer drg_x"}, {"x-api-key": "drg_x"}),
    ],
)
def test_what_has_a_meaning_here_is_said_in_our_words(said, ours):
    assert with_ours(said) == said | ours


@pytest.mark.parametrize(
    "said",
    [
        {"x-litellm-timeout": "soon"},
        {"x-litellm-timeout": "-1"},
        {"x-litellm-timeout": "nan"},
        {"x-litellm-timeout": "inf"},
        {"x-portkey-request-timeout": "1e30"},
        {"x-litellm-num-retries": "-1"},
        {"x-litellm-num-retries": "2.5"},
        {"x-portkey-retry-count": "many"},
        {"x-portkey-retry-count": "²"},
        {"cf-aig-max-attempts": "0"},
        {"x-portkey-trace-id": "two words\r\nx: y"},
        {"x-portkey-metadata": '{"_user": 7}'},
        {"x-portkey-metadata": "[" * 5000},
        {"cf-aig-metadata": '["a"]'},
        {"cf-aig-metadata": '{"a b": "c"}'},
        {"x-litellm-tags": "two words"},
        {"cf-aig-skip-cache": "false"},
        {"cf-aig-cache-ttl": "60, no-store"},
        {"helicone-cache-enabled": "perhaps"},
        {"x-bf-vk": " "},
    ],
)
def test_what_cannot_be_read_is_ignored(said):
    assert with_ours(said) == said


def test_a_header_of_ours_goes_before():
    said = {"x-litellm-timeout": "9", "x-dragoman-timeout-ms": "1", "cf-aig-skip-cache": "true"}
    assert with_ours(said) == said | {"x-dragoman-cache": "false"}
    said = {"x-litellm-tags": "theirs", "x-dragoman-tags": "ours"}
    assert with_ours(said) == said


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
def test_a_foreign_key_counts_only_where_there_is_no_other(name):
    said = {"x-portkey-api-key": "drg_theirs", name: "Bearer drg_ours"}
    assert with_ours(said) == said


def test_the_headers_that_were_given_are_left_as_they_are():
    said = {"x-bf-vk": "drg_x"}
    with_ours(said)
    assert said == {"x-bf-vk": "drg_x"}


def test_who_says_none_of_them_pays_next_to_nothing():
    headers = {f"x-header-{number}": "x" for number in range(12)}
    assert FOREIGN.isdisjoint(headers)
    best = min(timeit.repeat(lambda: FOREIGN.isdisjoint(headers), number=2000, repeat=5)) / 2000
    assert best < 5e-6
