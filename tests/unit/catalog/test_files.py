"""The catalogue's own files are read once, and a broken one is named."""

import re
import time

import pytest

from dragoman.catalog.files import _toml, capability_rules, definitions
from dragoman.catalog.schema import CatalogError


def test_a_file_that_is_no_toml_is_named() -> None:
    with pytest.raises(CatalogError, match=r"^x\.toml is not valid TOML: "):
        _toml("x.toml", "name = ")


def test_files_are_read_once() -> None:
    assert definitions() is definitions()
    assert capability_rules() is capability_rules()


def test_reading_all_of_them_is_a_matter_of_milliseconds() -> None:
    best = min(_seconds() for _ in range(3))
    assert best < 0.1, "20 ms are wanted; this bound leaves room for a busy machine"


def _seconds() -> float:
    begin = time.perf_counter()
    definitions.__wrapped__()
    capability_rules.__wrapped__()
    return time.perf_counter() - begin


def test_every_rule_of_capabilities_says_something_and_is_an_expression() -> None:
    for rule in capability_rules():
        assert rule["facts"]
        assert rule.get("family") or rule.get("flavour") or rule.get("match")
        re.compile(rule.get("match", ""))
