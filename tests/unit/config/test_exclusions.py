"""The file of errors that disable nobody: read strictly, and told precisely where it is wrong."""

import pytest

from dragoman.config.exclusions import FILE, read_exclusions
from dragoman.config.settings import ConfigError
from dragoman.core.errors import UpstreamError
from dragoman.health.judge import is_excluded

pytestmark = pytest.mark.req("R-PROV-005", "R-ADD-023")


def test_no_file_excludes_nothing(tmp_path) -> None:
    assert read_exclusions(tmp_path) == ()


def test_patterns_are_read_in_lower_case(tmp_path) -> None:
    (tmp_path / FILE).write_text('{"patterns": ["Rate Limit", "503"]}')
    assert read_exclusions(tmp_path) == ("rate limit", "503")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("\xff", "is no JSON"),
        ("[]", "must be an object"),
        ('{"pattern": []}', "did you mean 'patterns'"),
        ('{"patterns": [], "more": 1}', "unknown member 'more'; it has patterns alone"),
        ("{}", "patterns must be a list"),
        ('{"patterns": "429"}', "patterns must be a list"),
        ('{"patterns": ["a", 429]}', "patterns[1] must be a text"),
        ('{"patterns": ["  "]}', "patterns[0] is empty"),
        ('{"patterns": ["' + "a" * 201 + '"]}', "201 characters, of 200"),
        ("[" * 10_000, "is no JSON"),
    ],
)
def test_a_wrong_file_is_told_of_with_its_place(tmp_path, text, told) -> None:
    file = tmp_path / FILE
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_exclusions(tmp_path)
    assert told in caught.value.message
    assert str(file) in caught.value.message


def test_a_file_that_cannot_be_read_is_told_of(tmp_path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_exclusions(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("overloaded_error", True),
        ("529", True),
        ("try later", True),
        ("server_error", False),
        ("52 9", False),
    ],
)
def test_a_pattern_stands_in_status_code_or_message(pattern, found) -> None:
    error = UpstreamError(
        "overloaded", "Please TRY later.", code="overloaded_error", upstream_status=529
    )
    assert is_excluded(error, (pattern,)) is found
    assert not is_excluded(error, ())
