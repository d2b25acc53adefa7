"""The repository keeps its own house: no strange paths, no open ends, a docstring on every module."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).relative_to(ROOT).as_posix()


@cache
def tracked() -> dict[str, str]:
    """Every text file that git holds, or would if it were added."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    found: dict[str, str] = {}
    for name in names:
        path = ROOT / name
        if name and name != HERE and path.is_file():
            try:
                found[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return found


def holding(pattern: str, *, unless: str = "^$", flags: int = 0) -> list[str]:
    """Where the pattern stands: file, line, words."""
    wanted = re.compile(pattern, flags)
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked().items()
        if not re.search(unless, name)
        for number, line in enumerate(text.splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_file_names_a_place_of_the_machine_that_wrote_it():
    assert holding(r"(?<![\w.$}\])])/(?:work|root)/") == []
    assert holding(r"(?<![\w.$}\])])/(?:tmp|home/\w+)/", unless="^tests/") == []


def test_no_file_tells_how_it_was_written():
    words = r"\bsub-?agents?\b|\bclaude code\b|\bco-authored-by\b|\bas an ai\b"
    assert holding(words, flags=re.IGNORECASE) == []


def test_no_file_names_a_package_registrys_host():
    hosts = (
        "pypi.org",
        "pythonhosted.org",
        "registry.npmjs.org",
        "registry.yarnpkg.com",
        "proxy.golang.org",
        "crates.io",
        "rubygems.org",
    )
    names = "|".join(map(re.escape, hosts))
    assert holding(names) == []


@pytest.mark.req("R-SEC-004")
def test_no_file_holds_a_key_of_a_provider():
    keys = (
        r"sk-(?:proj|svcacct)-[A-Za-z0-9_-]{40,}|sk-ant-api\d\d-[A-Za-z0-9_-]{60,}"
        r"|AIza[A-Za-z0-9_-]{35}|gsk_[A-Za-z0-9]{50,}|sk-or-v1-[0-9a-f]{64}|xai-[A-Za-z0-9]{70,}"
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    )
    assert holding(keys) == []


def test_nothing_in_the_package_is_left_for_later():
    assert holding(r"\bTODO\b|\bFIXME\b|\bXXX\b|\bHACK\b|NotImplemented", unless="^(?!src/)") == []


def test_every_module_of_the_package_opens_with_what_it_is_for():
    bare = []
    for name, text in tracked().items():
        if name.startswith("src/") and name.endswith(".py") and text.strip():
            docstring = ast.get_docstring(ast.parse(text))
            if docstring is None or len(docstring) < 20:
                bare.append(name)
    assert bare == []


def test_no_module_of_the_package_is_too_long_to_be_read():
    long = {
        name: text.count("\n")
        for name, text in tracked().items()
        if name.startswith("src/") and name.endswith(".py") and text.count("\n") > 450
    }
    assert long == {}


def test_no_module_is_named_after_nothing():
    named = re.compile(r"(?:^|/)_?(?:utils?|helpers?|common|misc|managers?)(?:\.py$|/)")
    assert [name for name in tracked() if named.search(name)] == []


@pytest.mark.req("R-SEC-004")
def test_a_file_of_secrets_is_never_committed():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    assert not [
        name
        for name in tracked()
        if re.search(r"(?:^|/)\.env$|\.pem$|\.key$|\.sqlite$|\.db$", name)
    ]


@pytest.mark.req("R-DEV-001", "R-TEST-013")
def test_continuous_integration_runs_make_ci_and_nothing_else():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    steps = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert [step for step in steps if not re.match(r"set |cd |export ", step)] == ["exec make ci"]
    assert "export CI=1" in steps
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.req("R-DEV-005", "R-TEST-013")
@pytest.mark.parametrize(
    "target",
    [
        *("doctor", "dev", "ci", "gate", "lint", "types", "layers", "test", "bench", "smoke"),
        *("smoke-journey", "requirements", "clean", "bootstrap", "quality", "compile", "run"),
        *("test-contracts", "sdk", "sdk-python", "sdk-js", "typecheck", "format-check"),
    ],
)
def test_make_knows_its_targets(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert re.search(rf"^\.PHONY:(?:.*\\\n)*.*\b{target}\b", makefile, re.MULTILINE)


def test_the_licence_is_what_the_project_says():
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0" in licence
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
