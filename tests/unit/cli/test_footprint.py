from importlib.metadata import Distribution, PackageNotFoundError

import pytest

from dragoman.cli.footprint import Extra, extras, measure

pytestmark = pytest.mark.req("R-DEV-002")


@pytest.fixture
def find(tmp_path):
    """Installed packages in a folder of their own."""

    def add(name, *lines, size=0):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("\n".join([f"Name: {name}", "Version: 1.0", *lines, ""]))
        (tmp_path / f"{name}.py").write_bytes(b"x" * size)
        (tmp_path / f"{name}.pyc").write_bytes(b"x" * 1000)
        (info / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\ngone-{name}.py,,\n")

    add(
        "dragoman",
        "Provides-Extra: fast",
        "Provides-Extra: big",
        "Provides-Extra: all",
        "Requires-Dist: web[speed]>=1",
        "Requires-Dist: Win; sys_platform == 'never'",
        "Requires-Dist: quick; extra == 'fast'",
        "Requires-Dist: large; extra == 'big'",
        "Requires-Dist: dragoman[fast,big]; extra == 'all'",
        size=10,
    )
    add("web", "Requires-Dist: base", "Requires-Dist: loop; extra == 'speed'", size=20)
    add("base", "Requires-Dist: web", size=30)
    add("loop", size=40)
    add("quick", size=50)

    def look(name):
        found = next(iter(Distribution.discover(name=name, path=[str(tmp_path)])), None)
        if found is None:
            raise PackageNotFoundError(name)
        return found

    look.add = add
    return look


def test_the_base_is_everything_that_is_needed_without_extras_and_without_bytecode(find):
    found = measure(find=find)
    assert found.packages == {"base": 30, "dragoman": 10, "loop": 40, "web": 20}
    assert (found.size, found.missing) == (100, ())


def test_what_is_needed_and_not_there_is_named(find):
    find.add("top", "Requires-Dist: web", "Requires-Dist: lost")
    assert measure("top", find).missing == ("lost",)


def test_extras_tell_what_is_missing(find):
    assert extras(find=find) == [Extra("fast", ()), Extra("big", ("large",))]


def test_a_package_that_is_not_installed_is_an_error(find):
    with pytest.raises(PackageNotFoundError):
        measure("nothing", find)


def test_this_installation_fits_its_bounds():
    found = measure()
    assert found.missing == ()
    assert len(found.packages) <= 45
    assert found.size <= 120e6
