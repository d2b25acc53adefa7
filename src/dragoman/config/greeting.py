"""What a server says on stdout once it is ready: where it is, what serves, and where its state is.

The log on stderr stays JSON alone; this is for the person who has just started it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dragoman.config.settings import Settings

_CLAIM = "greeted"


def greeting(settings: Settings, port: int, workers: int, providers: Sequence[str]) -> str:
    """The lines; ``providers`` are the real ones, without the stub."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    processes = "1 worker" if workers == 1 else f"{workers} workers"
    return (
        f"✅ Server ready: http://{host}:{port}\n"
        f"   mode: {settings.mode}, {processes}\n"
        f"   providers: {_served_by(settings, providers)}\n"
        f"   state: {settings.dragoman_home}\n"
    )


def _served_by(settings: Settings, providers: Sequence[str]) -> str:
    named = ", ".join(providers)
    if settings.use_stub_adapters:
        return f"{named}, and the built-in stub" if named else "the built-in stub"
    if named:
        return named
    if settings.mode == "prod" or settings.use_stub_adapters is False:
        return "none is configured; set a provider's key, such as OPENAI_API_KEY"
    return "the built-in stub answers; set a provider's key, such as OPENAI_API_KEY"


def say_greeting(text: str, folder: Path | None) -> None:
    """Writes it; of several workers, which share ``folder``, the first alone does."""
    if folder is not None and not _claim(folder):
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def _claim(folder: Path) -> bool:
    try:
        (folder / _CLAIM).touch(exist_ok=False)
    except OSError:
        return False  # another worker has said it
    return True
