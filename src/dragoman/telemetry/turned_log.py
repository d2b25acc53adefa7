"""A log of its own beside the common one: lines of JSON in a file that is turned over when it is full."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dragoman.telemetry.log import timestamp


class TurnedLog:
    """One file and the one before it; a line that cannot be written is lost, and serving goes on."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most = most_bytes
        self._lock = threading.Lock()
        self.lost = 0

    def write(self, members: Mapping[str, Any], wall: float) -> None:
        """Adds a line; whoever says it sees to it that it holds no key."""
        line = msgspec.json.encode({"timestamp": timestamp(wall), **members}) + b"\n"
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                if self._path.exists() and self._path.stat().st_size + len(line) > self._most:
                    self._path.replace(self._path.with_suffix(".1.jsonl"))
                descriptor = os.open(self._path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
                with os.fdopen(descriptor, "ab") as file:
                    file.write(line)
        except OSError:
            self.lost += 1
