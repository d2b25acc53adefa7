import sys

import pytest

from dragoman.cli import markers
from dragoman.cli.markers import Requirement, holds, parse_requirement


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("uvloop>=0.22", Requirement("uvloop")),
        ("Typing_Extensions (>=4.6)", Requirement("typing-extensions")),
        ("uvicorn[standard,x]>=0.5", Requirement("uvicorn", ("standard", "x"))),
        ('aiohttp>=3; extra == "aiohttp"', Requirement("aiohttp", (), 'extra == "aiohttp"')),
        ("pip @ https://example.com/pip.whl", Requirement("pip")),
    ],
)
def test_a_line_of_requirements_is_read(text, requirement):
    assert parse_requirement(text) == requirement


def test_what_is_no_requirement_is_refused():
    with pytest.raises(ValueError, match="no requirement"):
        parse_requirement("!")


@pytest.mark.parametrize(
    ("marker", "true"),
    [
        ("", True),
        ('python_version >= "3.9"', True),
        ('python_version < "3.9"', False),
        ('"3.9" <= python_version', True),
        ('python_version == "3.*"', True),
        ('python_version != "3.*"', False),
        ('python_full_version ~= "3.0"', True),
        ('python_version ~= "2.0"', False),
        ('python_version > "3.9.0"', True),
        ('python_version <= "3"', False),
        ('python_full_version != "3.9.0rc1"', True),
        ('python_version === "3.0"', False),
        ('sys_platform == "win32"', False),
        (f'sys_platform == "{sys.platform}"', True),
        (f"sys_platform != '{sys.platform}'", False),
        ('sys_platform in "linux,darwin"', sys.platform in {"linux", "darwin"}),
        ('sys_platform not in "linux darwin"', sys.platform not in {"linux", "darwin"}),
        ('platform_machine ~= "none"', False),
        ('os_name >= "a" and os_name <= "z" and os_name > "a" and os_name < "zz"', True),
        ('implementation_name === "none"', False),
        ('os_name == "none" or python_version > "3" and extra == ""', True),
        ('(os_name == "none" or python_version > "3") and extra == "x"', False),
    ],
)
def test_a_marker_holds_or_not(marker, true):
    assert holds(marker) is true


def test_an_extras_requirements_hold_for_that_extra_alone():
    assert holds('extra == "redis"', "redis")
    assert not holds('extra == "redis"')


@pytest.mark.parametrize(
    "marker",
    ["extra ==", '(extra == "x"', 'colour == "red"', "extra", "extra == %", '"a" "b" "c"'],
)
def test_what_is_no_marker_is_refused(marker):
    with pytest.raises(ValueError, match="marker"):
        holds(marker)


def test_versions_compare_by_number():
    assert markers._compare_versions("3.10", ">", "3.9")
    assert markers._compare_versions("3.11", "==", "3.11.0")
