"""A key that the user has stored goes to no address that only the folder names in which a command runs (F12).

Who clones somebody's project and runs a command in it has read neither its ``.env`` nor its ``dragoman.toml``.
What is said on purpose counts as ever: an exported variable, ``--env-file``, ``DRAGOMAN_CONFIG``, what lies beside
the stored key, and an address whose key stands in the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dragoman.catalog.files import definitions
from dragoman.catalog.load import key_source
from dragoman.catalog.schema import OperatorRow
from dragoman.config.settings import ConfigError

NO_FILE = "dragoman.toml"


def refuse_moved(
    kept: Mapping[str, str], here: Mapping[str, str], exported: Mapping[str, str]
) -> None:
    """Looks at the addresses of this folder's ``.env``.

    Args:
        kept: what the user has stored, by the names of variables.
        here: what the folder's file says.
        exported: the environment.

    Raises:
        ConfigError: one of them would be sent a stored key.
    """
    env = {**kept, **here, **exported}
    for definition in definitions().values():
        key = key_source(definition, env)
        if key is None or key in here or key in exported:
            continue
        name = next((each for each in definition.env.base_url if env.get(each, "").strip()), None)
        if name is None or name in exported or name not in here or here[name] == kept.get(name):
            continue
        raise ConfigError(
            f".env of this folder says {name}, and {key} is stored for all folders: it is not sent to an "
            f"address that a folder names. If you trust it, export {name}, say --env-file .env, or say {key} "
            "there as well."
        )


def refuse_moved_rows(
    rows: Iterable[OperatorRow], kept: Mapping[str, str], env: Mapping[str, str]
) -> None:
    """Looks at the addresses in the ``dragoman.toml`` of this folder; ``env`` is without what is kept.

    Raises:
        ConfigError: as ``refuse_moved``.
    """
    for row in rows:
        definition = definitions().get(row.name)
        if definition is None or row.base_url is None or row.credentials:
            continue
        key = key_source(definition, {**kept, **env})
        if key is None or key in env:
            continue
        if any(kept.get(name) == row.base_url for name in definition.env.base_url):
            continue
        raise ConfigError(
            f"{NO_FILE} of this folder gives {row.name} an address, and {key} is stored for all folders: it "
            f"is not sent there. If you trust it, set DRAGOMAN_CONFIG={NO_FILE}, or say credentials in that row."
        )
