"""Lines of libraries: in our form, cleaned as ours are."""

import json
import logging
import os

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
