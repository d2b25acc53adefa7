"""No key that a provider repeats reaches a caller, whoever the provider is."""

from __future__ import annotations

import pytest

from dragoman.dialects.redact import MARK, redact

TAIL = "Ab3dEf6hIj9lMn2p"


@pytest.mark.parametrize(
    "prefix", ["sk", "pk", "rk", "drg", "gsk", "ghp", "hf", "r8", "xai", "csk"]
)
@pytest.mark.parametrize("inner", ["", "-", ".", "_"])
def test_a_key_goes_whole_whatever_stands_within_it(prefix, inner):
    key = f"{prefix}-{TAIL}{inner}{TAIL}"
    told = redact(f"The key {key} is wrong.")
    assert told.startswith(f"The key {MARK}")
    assert TAIL not in told


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {TAIL}",
        f"https://x.example/v1?key={TAIL}",
        f"https://user:{TAIL}@x.example/",
        f"AIza{TAIL}",
        f"eyJ{TAIL}.{TAIL}",
    ],
)
def test_other_ways_to_show_a_credential_go_as_well(text):
    assert TAIL not in redact(text)


@pytest.mark.parametrize(
    "text", ["xai-responses-v1", "openai-responses-v1", "task-force", "a key"]
)
def test_words_that_only_look_like_one_stay(text):
    assert redact(text) == text
