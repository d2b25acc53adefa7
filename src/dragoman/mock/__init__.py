"""A provider to test against: it speaks the dialects by hand, fails as told, and keeps the truth.

It shares no line with the gateway's codecs, so that it can disagree with them (D39).
"""

from dragoman.mock.config import IMMEDIATE, MockConfig, MockConfigError, from_environment
from dragoman.mock.run import Running, open_mock, run
from dragoman.mock.script import Script
from dragoman.mock.service import Mock

__all__ = [
    "IMMEDIATE",
    "Mock",
    "MockConfig",
    "MockConfigError",
    "Running",
    "Script",
    "from_environment",
    "open_mock",
    "run",
]
