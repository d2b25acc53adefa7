"""Logins by OAuth as this process is configured: which there are, where their tokens lie, who renews them.

Opening one asks nobody. Commands, programs and the gateway all get their tokens here, and the files
see to it that they are renewed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from dragoman.catalog.files import definitions
from dragoman.catalog.login import Login, one_of, read_logins
from dragoman.catalog.schema import CatalogError
from dragoman.config.load import config_path
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import HouseError
from dragoman.credentials.account_work import AccountWork
from dragoman.credentials.accounts import AccountsFile
from dragoman.credentials.fresh import FreshToken, Happening
from dragoman.credentials.google import client_in, with_client
from dragoman.credentials.key_store import RingKeys
from dragoman.credentials.private_files import held, private_folder
from dragoman.credentials.questions import Ask
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token_file import TokenFile, path_of
from dragoman.store.seal import open_sealer
from dragoman.telemetry.log import Log
from dragoman.transport.asking import asker
from dragoman.transport.tunnel import Tunnel, tunnel_of

_RING_KEY = "key of the logins"

Tell = Callable[[str, str, str], object]
"""Told what happened, to whom or what, and why: names and paths, never a secret."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Every place to log in at, and the folder of its tokens."""

    known: Mapping[str, Login]
    folder: Path
    sealing: Sealing
    ask: Ask
    tell: Tell

    def login(self, name: str) -> Login:
        """The place of that name, with who we are there.

        Raises:
            ConfigError, HouseError: there is none, or its client's file cannot be read.
        """
        try:
            login = one_of(self.known, name)
        except CatalogError as error:
            raise ConfigError(error.message) from None
        return with_client(login, self._private(), self._mended)

    def token(self, name: str) -> FreshToken:
        """The token of that place, renewed whenever it has to be.

        Raises:
            ConfigError, HouseError: as ``login``, or the token's file cannot be read.
        """
        login = self.login(name)
        shelf = self.shelf(login)
        if login.form == "google":
            login = client_in(login, shelf.load())
        return FreshToken(login, shelf, self.ask, note=self._noted)

    def shelf(self, login: Login) -> TokenFile:
        """Where its token lies."""
        form = "google" if login.form == "google" else "own"
        return TokenFile(path_of(login, self._private()), self.sealing, form, self._mended)

    def accounts(self, login: Login) -> AccountsFile:
        """The accounts of a login that may have several."""
        source = Path(login.import_file).expanduser() if login.import_file else None
        return AccountsFile(path_of(login, self._private()), self.sealing, source, self._mended)

    def account(self, login: Login, account: str) -> FreshToken:
        """The token of one of them."""
        shelf = self.accounts(login).shelf(account)
        return FreshToken(login, shelf, self.ask, note=self._noted, whose=account)

    def work(
        self, login: Login, token_of: Callable[[str], FreshToken] | None = None
    ) -> AccountWork:
        """What is done with them beside using them; ``token_of``: the tokens that calls use here."""
        its = token_of or partial(self.account, login)
        return AccountWork(login, self.accounts(login), its, self.ask, self.folder)

    def _private(self) -> Path:
        """The secrets folder; a login that nobody has used makes none."""
        return private_folder(self.folder, self._mended) if self.folder.exists() else self.folder

    def _mended(self, path: Path) -> None:
        self.tell("a secret could be read by others until now; consider it known", str(path), "")

    def _noted(self, happening: Happening, login: str, why: str) -> None:
        self.tell(f"login {happening}", login, why)


def open_logins(
    settings: Settings,
    env: Mapping[str, str],
    tell: Tell,
    ask: Ask | None = None,
    sealing: Sealing | None = None,
) -> Logins:
    """The logins of this process; ``tell`` hears of renewals and of what went wrong.

    Raises:
        ConfigError: a table ``[oauth.NAME]`` is wrong.
    """
    try:
        known = read_logins(settings.oauth, env)
    except CatalogError as error:
        raise ConfigError(f"{config_path()}: {error.message}") from None
    return Logins(
        known,
        settings.dragoman_secrets.expanduser(),
        sealing or Sealing(fernets_of(settings)),
        ask or asker(settings.upstream_ca_file, tunnels_of(settings, known)),
        tell,
    )


def tunnels_of(
    settings: Settings, known: Mapping[str, Login], bases: Mapping[str, str] | None = None
) -> dict[str, Tunnel]:
    """The proxy that is set for OB-1, by every host that is asked for it; ``bases`` are providers' addresses.

    Raises:
        ConfigError: it is no address of a proxy.
    """
    said = settings.ob1_proxy_url
    if said is None:
        return {}
    if settings.upstream_client not in {None, "direct"}:
        raise ConfigError(
            "OB1_PROXY_URL needs UPSTREAM_CLIENT=direct: no other client goes through it."
        )
    try:
        tunnel = tunnel_of(said.get_secret_value())
    except ValueError as error:
        raise ConfigError(f"OB1_PROXY_URL: {error}.") from None
    names = {name for name, each in definitions().items() if each.accounts}
    places = [known[definitions()[name].accounts] for name in names]
    urls = [(bases or {}).get(name, definitions()[name].base_url) for name in names]
    urls += [
        url for each in places for url in (each.token_url, each.device_url, each.organizations_url)
    ]
    hosts = {urlsplit(url).hostname for url in urls if url}
    return {host: tunnel for host in hosts if host}


def fernets_of(settings: Settings) -> tuple[Fernet, ...]:
    """The keys of FERNET_KEY, the one that seals first; none: files lie as they are, for their owner alone.

    Where the user's keys are in the system's keyring, a key of ours in there goes before them.

    Raises:
        HouseError: one of FERNET_KEY is none, or the keyring cannot be used.
    """
    given = settings.fernet_key.get_secret_value() if settings.fernet_key else None
    named = tuple(open_sealer(settings.dragoman_home, given).fernets)
    if settings.credential_store != "keyring":
        return named
    ring = RingKeys()
    key = ring.get(_RING_KEY)
    if key is None:
        # Who comes second must not put another in the place of one that has sealed something.
        with held(settings.dragoman_secrets.expanduser() / "logins"):
            key = ring.get(_RING_KEY)
            if key is None:
                key = Fernet.generate_key().decode()
                ring.put(_RING_KEY, key)
    try:
        return (Fernet(key), *named)
    except ValueError:
        raise HouseError(
            "server",
            f"What the system's keyring has as {_RING_KEY!r} of dragoman is no key: remove it there, and log "
            "in again.",
            code="keyring",
        ) from None


def telling(log: Log) -> Tell:
    """Tells a log."""

    def tell(what: str, whom: str, why: str) -> None:
        level = "info" if what == "login renewed" else "warn"
        log.event(level, what, of=whom, why=why or None)

    return tell
