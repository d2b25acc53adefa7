"""A provider's key for our own code: where it is looked for, what is noted, and what is said without one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.files import definitions
from dragoman.catalog.schema import CatalogError, KeyRow, OperatorRow
from dragoman.core.errors import CallerError, HouseError
from dragoman.credentials.lookup import Access, Lookup, get_api_key, in_environment, in_rows

pytestmark = pytest.mark.req("R-AUTH-011")

IN_FILE = f"sk-or-v1-{'f' * 40}"
IN_ENV = f"sk-or-v1-{'e' * 40}"


def lookup(rows: tuple[OperatorRow, ...] = (), env: dict[str, str] | None = None):
    noted: list[Access] = []
    places = (in_rows(rows), in_environment(env or {}))
    return Lookup(definitions(), places, noted.append), noted


def row(*keys: str, name: str = "openrouter") -> OperatorRow:
    return OperatorRow(name, credentials=tuple(KeyRow(key) for key in keys))


def test_the_configuration_file_goes_before_the_environment() -> None:
    both, noted = lookup((row(IN_FILE),), {"OPENROUTER_API_KEY": IN_ENV})
    assert get_api_key("openrouter", both).reveal() == IN_FILE
    alone, also_noted = lookup((row(IN_FILE, name="openai"),), {"OPENROUTER_API_KEY": IN_ENV})
    assert get_api_key(provider="openrouter", lookup=alone).reveal() == IN_ENV
    assert noted == [Access("openrouter", "configuration file")]
    assert also_noted == [Access("openrouter", "OPENROUTER_API_KEY")]


def test_of_several_keys_the_first_is_given() -> None:
    in_env, _ = lookup(env={"OPENROUTER_API_KEY": f" ,{IN_ENV}, sk-or-v1-other"})
    assert get_api_key("openrouter", in_env).reveal() == IN_ENV
    in_file, _ = lookup((row(IN_FILE, IN_ENV),))
    assert get_api_key("openrouter", in_file).reveal() == IN_FILE


def test_a_key_of_another_form_is_given_and_noted() -> None:
    odd, noted = lookup(env={"OPENROUTER_API_KEY": "sk-hunter2-of-somebody-else"})
    assert get_api_key("openrouter", odd).reveal() == "sk-hunter2-of-somebody-else"
    assert noted == [
        Access("openrouter", "OPENROUTER_API_KEY", "keys of openrouter begin with sk-or-v1-")
    ]


def test_without_a_key_the_places_are_told_and_the_look_is_noted() -> None:
    empty, noted = lookup(env={"OPENROUTER_API_KEY": " , "})
    with pytest.raises(HouseError) as caught:
        get_api_key("openrouter", empty)
    assert caught.value.code == "missing_provider_key"
    assert caught.value.message == (
        "There is no key of openrouter: set OPENROUTER_API_KEY, "
        'store one by `dragoman set-key openrouter`, or say credentials in [[providers]] with name = "openrouter".'
    )
    assert noted == [Access("openrouter", None)]


def test_an_unknown_provider_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        CallerError, match="There is no provider 'opnrouter'; did you mean 'openrouter'"
    ):
        get_api_key("opnrouter", lookup()[0])


def test_what_cannot_stand_in_a_header_is_refused_unsaid() -> None:
    for place in (
        lookup((row("hunter2\r\nx: y"),)),
        lookup(env={"OPENROUTER_API_KEY": "hunter2 b"}),
    ):
        with pytest.raises(CatalogError) as caught:
            get_api_key("openrouter", place[0])
        assert "hunter2" not in caught.value.message


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=8)
)
def test_no_key_stands_in_what_is_noted(key: str) -> None:
    found, noted = lookup(env={"OPENROUTER_API_KEY": f"canary-{key}"})
    secret = get_api_key("openrouter", found)
    assert secret.reveal() == f"canary-{key}"
    assert "canary" not in repr((secret, noted, found.note))
