"""The folders of a user's that are used unless settings name others."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_secrets() -> Path:
    """Where a user's keys and logins are kept unless ``DRAGOMAN_SECRETS`` says otherwise (R-CRED-001)."""
    return Path.home() / ".secrets" / "dragoman"


def default_home() -> Path:
    """Where state is kept unless ``DRAGOMAN_HOME`` says otherwise: the user's data folder."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "dragoman"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "dragoman"
