"""What a test needs and this machine lacks: skipped with a word, and a failure where everything has to be there."""

import os
from typing import NoReturn

import pytest


def lacking(told: str) -> NoReturn:
    """Ends the test: ``CI`` says that nothing may be lacking (D35)."""
    if os.environ.get("CI"):
        pytest.fail(told, pytrace=False)
    pytest.skip(told)
