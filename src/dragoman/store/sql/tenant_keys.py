"""Seals what tenants have us keep: one random key each, bound to the very place that it is for (D22).

The key of a tenant is one of the database's own secrets, made when it is first needed and sealed
as they are. What it seals is AES-256-GCM with tenant, table, row and column as associated data:
a value that somebody moves to another place, or to another tenant, does not open there.
"""

from __future__ import annotations

import hashlib
import secrets as dice
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dragoman.core.errors import HouseError
from dragoman.store.sql.rewrap import rewrap
from dragoman.store.sql.secrets import SecretVersions, open_secret

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

MOST_OPEN = 4096
"""Keys of tenants that are held open in memory."""
_PREFIX = "tenant-"
_NONCE = 12
_VERSION = 4


@dataclass(frozen=True, slots=True)
class TenantKey:
    """The key of one tenant, open."""

    tenant: str
    versions: SecretVersions

    def __repr__(self) -> str:
        return f"TenantKey({self.tenant!r})"

    def seal(self, plain: bytes, table: str, row: str, column: str) -> bytes:
        """The value, sealed for one place."""
        version = self.versions.newest
        nonce = dice.token_bytes(_NONCE)
        place = _place(self.tenant, table, row, column)
        sealed = AESGCM(self.versions.versions[version]).encrypt(nonce, plain, place)
        return version.to_bytes(_VERSION, "big") + nonce + sealed

    def open(self, sealed: bytes, table: str, row: str, column: str) -> bytes:
        """The value that was sealed for this place.

        Raises:
            HouseError: it was sealed for another one, by another key, or was changed.
        """
        key = self.versions.versions.get(int.from_bytes(sealed[:_VERSION], "big"))
        nonce, rest = sealed[_VERSION : _VERSION + _NONCE], sealed[_VERSION + _NONCE :]
        try:
            if key is None or len(nonce) != _NONCE:
                raise InvalidTag
            return AESGCM(key).decrypt(nonce, rest, _place(self.tenant, table, row, column))
        except InvalidTag:
            raise HouseError(
                "server",
                f"What is kept in {table} is damaged, or was moved from another place.",
                code="database_error",
            ) from None


def secret_name(tenant: str) -> str:
    """What the tenant's key is called among the database's secrets."""
    # A tenant's name may be longer than that of a secret, and need not stand there.
    return _PREFIX + hashlib.sha256(tenant.encode()).hexdigest()[:40]


def _place(tenant: str, table: str, row: str, column: str) -> bytes:
    return msgspec.json.encode((tenant, table, row, column))


@dataclass(slots=True)
class TenantKeys:
    """The keys of all tenants; each is opened once."""

    database: Database
    sealer: Sealer
    clock: Clock
    _open: OrderedDict[str, TenantKey] = field(default_factory=OrderedDict, repr=False)

    async def key(self, tenant: str) -> TenantKey:
        """The tenant's key, made where there is none yet."""
        found = self._open.get(tenant)
        if found is not None:
            self._open.move_to_end(tenant)
            return found
        versions = await open_secret(self.database, self.sealer, self.clock, secret_name(tenant))
        found = self._open[tenant] = TenantKey(tenant, versions)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return found

    async def renew(self) -> int:
        """Seals anew the keys that another one than the sealer's first has sealed; how many it were.

        The database's other secrets are all opened at a start, and so renewed. Of a tenant that is
        not heard of for a while the key would be lost together with the old one.

        Raises:
            HouseError: one of them is opened by no key that there is.
        """
        found = await rewrap(self.database, self.sealer)
        if found.errors:
            raise HouseError("server", next(iter(found.errors)), code="configuration_error")
        return found.done
