"""What is said of callers' keys and what is shown of them, as the interface's description has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from dragoman.admin.paging import Strict, Word
from dragoman.admin.scope_shapes import ScopeSaid, ScopeShown, scope_shown
from dragoman.core.call import DEFAULT_PROJECT, DEFAULT_TENANT, NO_LIMITS, Limits
from dragoman.identity.ports import KeyRecord

_MOST = 2**31 - 1
_YEARS_S = 100 * 366 * 86_400.0
Number = Annotated[int, Field(ge=0, le=_MOST)]
Place = Annotated[Word, Field(max_length=128)]
"""The id of a tenant or a project."""
Emptied = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Lasting = Annotated[float, Field(gt=0, le=_YEARS_S)]


class LimitsSaid(Strict):
    """Limits of the key's own; null: its tier's, 0: none."""

    rps: Number | None = Field(None, description="Requests a second")
    rpm: Number | None = Field(None, description="Requests a minute")
    rpd: Number | None = Field(None, description="Requests a day")
    tpm: Number | None = Field(None, description="Tokens a minute")
    tpd: Number | None = Field(None, description="Tokens a day")
    max_tokens: Number | None = Field(None, description="Tokens in all")
    concurrency: Number | None = Field(None, description="Requests under way at once")


OWN = tuple(LimitsSaid.model_fields)


class GenerateSaid(Strict):
    """A key to be made for a user."""

    userId: Word = Field(examples=["alice"])  # noqa: N815  as R-ADD-042 spells it
    role: Literal["admin", "tenant_admin", "user"] = "user"
    tier: Word | None = Field(None, examples=["pro"])
    tenant: Place = DEFAULT_TENANT
    project: Place = DEFAULT_PROJECT
    name: Word | None = Field(None, description="Null: the user's id")
    label: Word | None = Field(None, description="To find it by")
    limits: LimitsSaid | None = None
    scope: ScopeSaid | None = None
    expires_in_s: Lasting | None = None


class NewKeySaid(Strict):
    """A key to be made in the caller's tenant."""

    name: Word = Field(examples=["ci"])
    role: Literal["tenant_admin", "user"] = "user"
    tier: Word | None = None
    project: Place = DEFAULT_PROJECT
    label: Word | None = Field(None, description="To find it by")
    limits: LimitsSaid | None = None
    scope: ScopeSaid | None = None
    expires_in_s: Lasting | None = None


class UpdateSaid(Strict):
    """What is to be another; what is left out stays."""

    name: Word | None = None
    role: Literal["admin", "tenant_admin", "user"] | None = None
    tier: Emptied | None = Field(None, description="Empty: none")
    project: Place | None = Field(None, description="Of the key's own tenant")
    label: Emptied | None = Field(None, description="Empty: none")
    limits: LimitsSaid | None = Field(None, description="In the place of all limits of its own")
    scope: ScopeSaid | None = Field(None, description="In the place of all of its own; {}: none")
    expires_at: float | None = Field(None, ge=0, le=1e11, description="Unix seconds; 0: never")


class UpdateOf(UpdateSaid):
    """The same, with the key's id in the body."""

    id: Word


class RotateSaid(Strict):
    """How long the secret of before goes on."""

    overlap_s: float = Field(0, ge=0, le=30 * 86_400, description="Seconds")


class RotateOf(RotateSaid):
    """The same, with the key's id in the body."""

    id: Word


class KeyOf(Strict):
    """The key that is meant."""

    id: Word


class RevokeSaid(Strict):
    """How a key is revoked."""

    now: bool = Field(default=False, description="Whether its calls that are under way end, too")


class RevokeOf(KeyOf, RevokeSaid):
    """The key that is revoked, and how."""


class KeyShown(BaseModel):
    """A key, without the key."""

    id: str
    user_id: str | None
    name: str
    label: str | None
    tenant: str
    project: str
    role: str
    tier: str | None
    limits: dict[str, int | None]
    scope: ScopeShown
    state: Literal["active", "suspended", "revoked", "expired"]
    created_at: float
    expires_at: float | None
    suspended_at: float | None
    revoked_at: float | None
    previous_ends_at: float | None = Field(
        description="When the secret of before the last rotation ends, if it has not"
    )


class KeyMade(KeyShown):
    """A new key, or a new secret of one, shown this once."""

    key: str = Field(description="Shown this once; only its digest is stored")
    apiKey: str = Field(description="The same")  # noqa: N815  the original's spelling


class Reset(BaseModel):
    """Since when a key's use counts."""

    id: str
    counts_since: float


def state_of(record: KeyRecord, wall: float) -> str:
    """How a key is; of several reasons why it does not serve the lasting one."""
    if record.revoked is not None:
        return "revoked"
    if record.expires is not None and record.expires <= wall:
        return "expired"
    return "active" if record.suspended is None else "suspended"


def shown(record: KeyRecord, wall: float) -> dict[str, Any]:
    """The members of ``KeyShown``."""
    former = record.previous_until
    return {
        "id": record.id,
        "user_id": record.user_id,
        "name": record.name,
        "label": record.label,
        "tenant": record.tenant,
        "project": record.project,
        "role": record.role,
        "tier": record.tier,
        "limits": {name: getattr(record.limits, name) for name in OWN},
        "scope": scope_shown(record.scopes),
        "state": state_of(record, wall),
        "created_at": record.created,
        "expires_at": record.expires,
        "suspended_at": record.suspended,
        "revoked_at": record.revoked,
        "previous_ends_at": former if former is not None and former > wall else None,
    }


def limits_said(said: LimitsSaid | None) -> Limits:
    """The limits as the store has them."""
    return NO_LIMITS if said is None else Limits(**said.model_dump())
