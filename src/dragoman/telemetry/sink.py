"""Where lines may go beside standard error: a file, the system's log, or a function of the operator's (R-OBS-012).

A function is named in the configuration, as ``package.module:function``; whoever may write that may run
code here anyway. It is called in the log's own thread, with one line at a time, and what it raises
counts as a line that was lost.
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dragoman.core.errors import HouseError

Sink: TypeAlias = Callable[[bytes], None]
"""Takes whole lines, each with its newline; an ``OSError``: they were not taken."""

SYSLOG = ("/dev/log", "/var/run/syslog")
_USER_INFO = b"<14>dragoman: "
_LONGEST = 8192


def sink_of(place: str) -> Sink | int:
    """The sink, or the descriptor, that a place names.

    Raises:
        HouseError: there is none; the message says what a place may be.
    """
    if place in {"stderr", "stdout"}:
        return 2 if place == "stderr" else 1
    try:
        if place == "syslog":
            return _syslog()
        module, colon, name = place.partition(":")
        if colon and module.replace(".", "").isidentifier() and name.isidentifier():
            return _called(getattr(importlib.import_module(module), name))
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except (OSError, ImportError, AttributeError) as error:
        raise HouseError(
            "server",
            f"LOG_TO names no place for the log ({type(error).__name__}): say stderr, stdout, syslog, the path "
            "of a file, or package.module:function.",
            code="configuration_error",
        ) from None


def _called(function: Callable[[str], object]) -> Sink:
    def sink(lines: bytes) -> None:
        for line in lines.splitlines():
            try:
                function(line.decode("utf-8", "replace"))
            except Exception as error:  # noqa: BLE001  whatever it is, serving goes on
                raise OSError(type(error).__name__) from None

    return sink


def _syslog() -> Sink:
    address = next((each for each in SYSLOG if Path(each).exists()), SYSLOG[0])
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.connect(address)
    # It is open for as long as the process may have something to say: nobody closes it.
    descriptor = local.detach()

    def sink(lines: bytes) -> None:
        for line in lines.splitlines():
            os.write(descriptor, _USER_INFO + line[:_LONGEST])

    return sink
