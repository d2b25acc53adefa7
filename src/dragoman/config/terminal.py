"""Whether the terminal that a program was started from is still there.

A SIGHUP means two things: somebody asks a server to read its configuration again, or the terminal was
closed and what runs in it shall end.
"""

from __future__ import annotations

import os


class Terminal:
    """The controlling terminal at the start, if there was one."""

    def __init__(self) -> None:
        self._had = _has_terminal()

    def is_gone(self) -> bool:
        """Whether there was one and is none now."""
        return self._had and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
