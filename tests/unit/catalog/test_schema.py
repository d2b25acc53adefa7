"""Provider files and operator rows are read strictly, and say what is wrong."""

import pytest

from dragoman.catalog.schema import (
    CatalogError,
    Definition,
    KeyRow,
    OperatorRow,
    check_row,
    operator_row,
    read_strictly,
)

TABLE = {"name": "x", "family": "chat", "paths": {"chat": "/chat/completions"}}


def test_a_file_with_the_least_it_needs_is_read_with_the_defaults() -> None:
    found = read_strictly(Definition, TABLE, "x.toml")
    assert found.quirks.flavour == "plain"
    assert found.auth.header == "authorization"
    assert found.auth.prefix == "Bearer "
    assert found.on_disconnect == "close"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_ur": "x"}, "x.toml: unknown member 'base_ur'; did you mean 'base_url'?"),
        ({"zzz": 1}, "x.toml: unknown member 'zzz'; known: name, family"),
        (
            {"quirks": {"step": []}},
            "x.toml quirks: unknown member 'step'; did you mean 'steps'?",
        ),
        ({"env": {"keys": []}}, "x.toml env: unknown member 'keys'; did you mean 'key'?"),
        ({"family": "soap"}, "x.toml: Invalid enum value 'soap'"),
        ({"paths": {"dance": "/"}}, "x.toml: Invalid enum value 'dance'"),
        ({"quirks": "none"}, "x.toml: Expected `object`, got `str`"),
    ],
)
def test_a_file_that_says_something_unknown_or_wrong_is_refused(change, said) -> None:
    with pytest.raises(CatalogError) as caught:
        read_strictly(Definition, {**TABLE, **change}, "x.toml")
    assert caught.value.message.startswith(said)
    assert caught.value.code == "configuration_error"


def test_a_row_leaves_out_what_is_none() -> None:
    row = operator_row({"name": "corp-vllm", "base_url": "http://10.0.0.7/v1", "flavour": None})
    assert row.base_url == "http://10.0.0.7/v1"
    assert row.flavour is None


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b"])
def test_a_name_that_would_split_a_model_string_is_refused(name) -> None:
    with pytest.raises(CatalogError, match="must not be empty or hold a slash, colon or blank"):
        check_row(OperatorRow(name=name))


def test_a_weight_below_one_is_refused() -> None:
    with pytest.raises(CatalogError, match="weight must be 1 or more"):
        check_row(operator_row({"name": "x", "credentials": [{"key": "k", "weight": 0}]}))


def test_a_key_never_prints_itself() -> None:
    assert "hunter2" not in repr(KeyRow(key="hunter2"))
    with pytest.raises(CatalogError) as caught:
        operator_row({"name": "x", "credentials": [{"key": "hunter2", "weight": "much"}]})
    assert "hunter2" not in caught.value.message
