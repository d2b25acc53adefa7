"""`[tools]` of dragoman.toml: nothing is limited unless it says so, and what it says is read strictly."""

import pytest

from dragoman.admission.tool_limits import ToolLimits
from dragoman.config.settings import ConfigError
from dragoman.config.tools import read_tool_limits


def test_nothing_said_limits_nothing():
    assert read_tool_limits({}) is None
    assert read_tool_limits({"allowlist": "off", "allowed_names": ["a"]}) is None


def test_what_is_said_is_read():
    table = {"max_tools": 128, "max_schema_depth": 5, "allowed_names": ["get_*"]}
    assert read_tool_limits(table) == ToolLimits(
        max_tools=128, max_schema_depth=5, allowed_names=("get_*",), allowlist="enforce"
    )
    assert read_tool_limits({"max_tools": 0}) == ToolLimits(max_tools=0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"max_tool": 1}, "did you mean 'max_tools'?"),
        ({"zzz": 1}, "known: max_tools, max_name_chars"),
        ({"max_tools": -1}, "from 0, not -1"),
        ({"max_name_chars": 0}, "from 1, not 0"),
        ({"max_tools": True}, "not True"),
        ({"max_tools": "8"}, "not '8'"),
        ({"allowlist": "yes"}, "one of enforce, warn, off, not 'yes'"),
        ({"allowlist": "warn"}, "without allowed_names"),
        ({"allowed_names": "a"}, "must be a list"),
        ({"allowed_names": ["a", ""]}, "holds ''"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(table, said):
    with pytest.raises(ConfigError) as caught:
        read_tool_limits(table)
    assert said in caught.value.message
