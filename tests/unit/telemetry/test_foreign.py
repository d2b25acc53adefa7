"""Lines of libraries: in our form, cleaned as ours are."""

import json
import logging
import os
import subprocess
import sys

import pytest

from dragoman.telemetry.foreign import Foreign, foreign_config, place, speak_through
from dragoman.telemetry.log import Log


@pytest.fixture
def pipe():
    reading, writing = os.pipe()

    def lines():
        return [json.loads(line) for line in os.read(reading, 1 << 16).splitlines()]

    yield writing, lines
    os.close(reading)
    os.close(writing)


@pytest.fixture
def library(pipe):
    """The logger of a library whose handler is ours, and what came of its lines."""
    writing, lines = pipe
    logger = logging.getLogger("uvicorn")
    handler = Foreign("info", "json")
    logger.addHandler(handler)
    logger.addHandler(logging.NullHandler())
    before, logger.propagate = logger.propagate, False
    speak_through(Log("debug", "json", writing))
    yield logging.getLogger("uvicorn.error"), lines
    for one in list(logger.handlers):
        logger.removeHandler(one)
    logger.propagate = before


def test_a_librarys_line_is_ours_and_says_whose_it_is(library):
    logger, lines = library
    logger.setLevel("DEBUG")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("Cancel %s running task(s)\n", 3)
    found = lines()
    assert [line["level"] for line in found] == ["debug", "info", "warning", "error", "error"]
    assert {line["message"] for line in found} == {"Cancel 3 running task(s)"}
    assert {line["said_by"] for line in found} == {"uvicorn.error"}
    logger.setLevel("NOTSET")


def test_an_exception_is_named_with_its_place_and_without_its_values(library):
    logger, lines = library
    try:
        raise ValueError("sk-abcdefghijklmnop")
    except ValueError:
        logger.exception("Exception in ASGI application, %s", "sk-abcdefghijklmnop")
    (line,) = lines()
    assert line["error"] == "ValueError"
    assert line["at"].startswith("test_foreign.py:")
    assert "abcdefghijklmnop" not in json.dumps(line)


def test_an_error_that_was_never_raised_has_no_place():
    assert place(ValueError("x")) == ""


@pytest.mark.parametrize(("level", "threshold"), [("silent", 40), ("warn", 30), ("info", 20)])
def test_before_the_start_errors_are_told_even_where_all_is_silent(level, threshold):
    assert Foreign(level, "json").log.threshold == threshold


def test_the_configuration_can_travel_to_another_process():
    config = json.loads(json.dumps(foreign_config("info", "text")))
    assert config["handlers"]["house"] == {
        "()": "dragoman.telemetry.foreign.Foreign",
        "threshold": "info",
        "form": "text",
    }
    assert set(config["loggers"]) == {"uvicorn", "asyncio"}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_start_that_fails_is_told_to_people_as_to_people(is_terminal):
    reading, writing = os.openpty() if is_terminal else os.pipe()
    code = (
        "import logging.config; from dragoman.telemetry.foreign import foreign_config\n"
        "logging.config.dictConfig(foreign_config('info', 'json'))\n"
        "said = logging.getLogger('uvicorn.error').error\n"
        "said('The database is away.'); said('Application startup failed. Exiting.')\n"
    )
    subprocess.run([sys.executable, "-c", code], stderr=writing, check=True)
    (line,) = os.read(reading, 1 << 16).splitlines()
    os.close(reading)
    os.close(writing)
    # What the library says behind the reason says nothing.
    assert b"The database is away." in line
    assert line.startswith(b"{") is not is_terminal
