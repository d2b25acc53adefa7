"""Where a running gateway is, and the key for it: options of every command that talks to one."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["KEY", "URL", "KeyOption", "UrlOption"]

URL = "http://127.0.0.1:8000"
KEY = "drg_test"

UrlOption: TypeAlias = Annotated[
    str, typer.Option(envvar="DRAGOMAN_BASE_URL", help="Where the gateway is.")
]
KeyOption: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="DRAGOMAN_API_KEY", show_default=False, help="Your key. [drg_test, if local]"
    ),
]
