"""Where a running gateway is, and the key for it: options of every command that talks to one."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["KEY", "URL", "KeyOption", "UrlOption", "gateway_here"]

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


def gateway_here() -> str:
    """Whether a gateway runs where it is looked for, in one short sentence."""
    import os

    from dragoman.cli.gateway import Gateway

    url = os.environ.get("DRAGOMAN_BASE_URL", URL)
    running = Gateway(url, "", timeout_s=1).is_ready()
    return f"a gateway is ready at {url}" if running else f"no gateway at {url}"
