import os

import pytest

from dragoman.cli.main import run
from servers import make_home


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """An environment without anything of ours, in an empty folder that is also the home."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or name.startswith(("MOCK_", "DRAGOMAN_")):
            monkeypatch.delenv(name)
    for name in (
        "MODE",
        "HOST",
        "PORT",
        "WORKERS",
        "DATABASE_URL",
        "FERNET_KEY",
        "OLLAMA_HOST",
        "CORS_ALLOW_ORIGINS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRAGOMAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DRAGOMAN_SECRETS", str(tmp_path / "secrets"))
    return tmp_path


@pytest.fixture
def dragoman(clean, capsys):
    """Runs a command in this process: its exit code, what it said, what it complained of."""

    def call(*arguments):
        code = run(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def tables(clean):
    """A home in which the tables stand, as the first command would make them, but copied."""
    make_home(clean / "home")
