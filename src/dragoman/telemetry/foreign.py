"""What libraries say through the standard library's logging, as lines of our own log.

uvicorn and asyncio write there; a plain line among JSON ones would break whoever reads them.
The configuration names the handler by its place, for it travels to worker processes.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from dragoman.telemetry.log import Log

_LIBRARIES = ("uvicorn", "asyncio")
_STDERR = 2
_NO_REASON = "Application startup failed. Exiting."
"""What uvicorn says behind the reason why a start has failed."""


class Foreign(logging.Handler):
    """Gives a library's lines to the log; to one of its own until there is the server's."""

    def __init__(self, threshold: str, form: str) -> None:
        super().__init__()
        # A start that fails must say why, however silent the log is meant to be; and to a person as to one.
        self.log = Log(
            "error" if threshold in {"silent", "critical"} else threshold,
            "text" if os.isatty(_STDERR) else form,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """One line; an exception is named with its place, never with the values in its trace."""
        said = record.getMessage().strip()
        if said == _NO_REASON:
            return
        members: dict[str, str] = {"said_by": record.name}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            members |= {"error": type(error).__name__, "at": place(error)}
        self.log.event(_level(record.levelno), said, **members)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"


def foreign_config(level: str, form: str) -> dict[str, Any]:
    """What ``logging.config.dictConfig`` takes, so that libraries speak through the log."""
    handler = {"()": f"{__name__}.{Foreign.__name__}", "threshold": level, "form": form}
    spoken: dict[str, Any] = {"handlers": ["house"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"house": handler},
        "loggers": dict.fromkeys(_LIBRARIES, spoken),
    }


def speak_through(log: Log) -> None:
    """From now on libraries' lines go the way of ``log``."""
    for name in _LIBRARIES:
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, Foreign):
                handler.log = log


def place(error: BaseException) -> str:
    """Where an error was raised: file and line, without the values that a traceback may show."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
