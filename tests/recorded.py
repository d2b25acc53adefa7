"""Recorded traffic with real providers, where it is at hand; the project holds none of it.

``FIDELITY_CORPUS`` names the folder or the file; without it the place beside the checkout counts.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def recordings_file() -> Path:
    """The recordings, whether they are there or not."""
    place = Path(os.environ.get("FIDELITY_CORPUS") or BESIDE)
    return place / "open.jsonl" if place.is_dir() else place


@cache
def _exchanges(dialect: str) -> tuple[dict[str, Any], ...]:
    with recordings_file().open(encoding="utf-8") as lines:
        # Most lines are of another dialect: they are not decoded.
        near = (json.loads(line) for line in lines if f'"{dialect}"' in line)
        return tuple(record for record in near if record["dialect"] == dialect)


def exchanges(dialect: str) -> tuple[dict[str, Any], ...]:
    """All exchanges of a dialect, as the recordings call it; skips the test where there are none."""
    if not recordings_file().is_file():
        pytest.skip("no recorded traffic here; FIDELITY_CORPUS says where it is")
    return _exchanges(dialect)
