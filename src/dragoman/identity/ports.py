"""What identity needs of a store of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from dragoman.core.call import DEFAULT_PROJECT, NO_LIMITS, Caller, Limits, Role
from dragoman.core.scopes import NOTHING_SAID, Bounds, Scopes


class KeyRecord(Struct, frozen=True):
    """A stored key, without the key; times are Unix seconds."""

    id: str
    tenant: str
    name: str
    created: float
    role: Role = "user"
    limits: Limits = NO_LIMITS
    user_id: str | None = None
    expires: float | None = None
    revoked: float | None = None
    tier: str | None = None
    project: str = DEFAULT_PROJECT
    label: str | None = None
    """A word of whoever manages it, to find it by."""
    scopes: Scopes = NOTHING_SAID
    """The key's own."""
    suspended: float | None = None
    previous_until: float | None = None
    """Until when the secret of before its last rotation counts as well."""
    bounds: Bounds | None = None
    """What its scopes, its project's and its tenant's allow together; of a key that was presented."""
    stopped: Stopped | None = None
    """What of it is suspended; of a key that was presented."""
    counts_since_us: int | None = None
    """Since when its use counts, in Unix microseconds; of a key that was presented, None: ever."""


Stopped: TypeAlias = Literal["key", "project", "tenant"]
KeyState: TypeAlias = Literal["active", "suspended", "revoked", "expired"]


class KeySearch(Struct, frozen=True):
    """Which keys are wanted; None: whichever."""

    tenant: str | None = None
    key_id: str | None = None
    user_id: str | None = None
    role: Role | None = None
    state: KeyState | None = None
    project: str | None = None
    label: str | None = None
    tier: str | None = None


class KeyChange(Struct, frozen=True):
    """What is to be another of a key; None leaves it."""

    name: str | None = None
    role: Role | None = None
    tier: str | None = None
    """Empty: none."""
    limits: Limits | None = None
    """In the place of all of the key's own."""
    expires: float | None = None
    """Unix seconds; 0: never."""
    project: str | None = None
    label: str | None = None
    """Empty: none."""
    scopes: Scopes | None = None
    """In the place of all of the key's own."""
    suspended: bool | None = None


class Finding(Struct, frozen=True):
    """What the store knows of a credential.

    ``mark`` names the credential without giving it away, the same in every process on this
    database; ``record`` is None where it is not stored. ``other_secret`` says that the key of its public id
    is there, under a secret that is not this one.
    """

    mark: str
    record: KeyRecord | None = None
    other_secret: bool = False


class FindsKeys(Protocol):
    """Finds keys."""

    async def find(self, credential: str, public_id: str | None) -> Finding:
        """What is known of ``credential``; ``public_id`` is its own where it has our form.

        Compares in constant time. A ``HouseError`` means that the store cannot tell.
        """
        ...


class KeyStore(FindsKeys, Protocol):
    """Finds keys, and knows at once those that it found before."""

    def known(self, credential: str) -> Caller | None:
        """Whose key it is, if that is known without asking anybody and it is in force; None: ``find`` it."""
        ...


Strangers: TypeAlias = Callable[[str], Finding | None]
"""What the store would find of a credential that is nobody's; None: it may be somebody's."""


class WatchedKeyStore(FindsKeys, Protocol):
    """A store whose findings may be kept as long as its generation stands still."""

    async def generation(self) -> int:
        """A number that every change of any key moves on, in whichever process."""
        ...

    async def strangers(self) -> Strangers | None:
        """Tells without a query what no key is that is stored now; None: there are too many to know."""
        ...


class KeysChanged(Protocol):
    """Told of what this process has changed itself."""

    def __call__(self, tenant: str, key_id: str | None = None, /) -> None:
        """A key of a tenant is another; None: whatever holds for all of its keys is."""
        ...
