"""The first ``.env`` file: what production demands, with a key made for this installation alone (D21)."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path

from dragoman.config.settings import ConfigError


def new_fernet_key() -> str:
    """32 random bytes, in the spelling that ``FERNET_KEY`` takes."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def production_file(database_url: str, origins: Sequence[str], key: str) -> str:
    """The text of a ``.env`` file that production starts with.

    Raises:
        ConfigError: an origin is none, or a wildcard.
    """
    for origin in origins:
        if not _is_origin(origin):
            raise ConfigError(
                f"{origin!r} is no web origin: say scheme and host, such as https://app.example.com, "
                "without a path and without *."
            )
    return f"""# Read by `dragoman serve` in this folder, or by --env-file. Never commit this file.
MODE=prod
# Where keys and usage live: sqlite:///… for one machine, postgresql://… for several.
DATABASE_URL={database_url}
# Opens what is sealed in the database. Keep a copy where the database's backups are not.
FERNET_KEY={key}
# The web origins whose pages may call; programs outside of browsers need none.
CORS_ALLOW_ORIGINS={",".join(origins)}
# A provider is switched on by its key:
#OPENAI_API_KEY=
#ANTHROPIC_API_KEY=
"""


def local_file() -> str:
    """The text of a ``.env`` file for one person on one machine."""
    return """# Read by `dragoman serve` in this folder, or by --env-file. Never commit this file.
MODE=local
# A provider is switched on by its key; without any a built-in stub answers.
#OPENAI_API_KEY=
#ANTHROPIC_API_KEY=
"""


def write_new(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, and that was not there before.

    Raises:
        ConfigError: there is one already, or it cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already and is never overwritten: choose another with --file, or add what "
            "`dragoman serve` names by hand."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _is_origin(text: str) -> bool:
    scheme, mark, host = text.partition("://")
    return (
        scheme in {"http", "https"}
        and bool(mark and host)
        and text.isascii()
        and not set(host) & set("/*,?#@ '\"\\")
    )
