"""Says who is calling: a credential becomes a caller, or a 401 that says why not.

The credential itself is never repeated. A string of our own form with a wrong checksum is
refused without asking the store. In local mode (D20) a well-formed credential that the store
does not know, and that was not issued for another one, is a user of the tenant ``local``, never
an admin; what the store does know keeps its own role, and stays refused when it was revoked or
has expired.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.call import Caller, Proof
from dragoman.core.clock import Clock
from dragoman.core.errors import CallerError
from dragoman.identity.keyform import is_visible, parse_key
from dragoman.identity.ports import KeyRecord, KeyStore, Stopped

Accepts: TypeAlias = Literal["stored", "listed", "wellformed"]
"""Which credentials pass: stored keys only; also those listed; also any well-formed one."""

LOCAL_TENANT = "local"
_WELL_FORMED = re.compile(r"(drg|2api|sk)[_-][\x21-\x7e]{3,250}")


class IdentityMode(Struct, frozen=True):
    """How callers are told apart in this process."""

    prefix: str = "drg"
    accepts: Accepts = "stored"
    listed: frozenset[str] = frozenset()
    home: str = ""
    """Where its keys are stored; told to callers of this machine alone."""


async def authenticate(
    proof: Proof | None, keys: KeyStore, mode: IdentityMode, clock: Clock
) -> Caller:
    """The caller whose credential ``proof`` is.

    Raises:
        CallerError: kind ``authentication``, with the code ``missing_api_key``,
            ``invalid_api_key`` or ``expired_api_key``; kind ``permission`` where it is suspended.
        HouseError: the store cannot tell.
    """
    if proof is None:
        raise CallerError(
            "authentication",
            "No API key was given: send it in the header 'Authorization: Bearer <key>', "
            "'x-api-key', 'api-key' or 'x-goog-api-key', or in the query as '?key=<key>'.",
            code="missing_api_key",
        )
    credential = proof.value
    if not is_visible(credential):
        raise _invalid("it is not 1 to 256 visible ASCII characters")
    form = parse_key(credential, mode.prefix)
    if form is not None and not form.valid_checksum:
        raise _invalid("its checksum is wrong, so it was mistyped or cut")
    finding = await keys.find(credential, form.public_id if form is not None else None)
    record = finding.record
    if record is not None:
        return _caller(record, clock)
    if _is_local(credential, mode, issued=form is not None):
        return Caller(f"local_{finding.mark}", LOCAL_TENANT, name=LOCAL_TENANT)
    raise _invalid(_unknown(form is not None, mode, other_secret=finding.other_secret))


def _caller(record: KeyRecord, clock: Clock) -> Caller:
    if record.revoked is not None:
        raise _invalid("it was revoked")
    if record.expires is not None and clock.wall() >= record.expires:
        raise CallerError(
            "authentication",
            "The API key has expired: ask for a new one.",
            code="expired_api_key",
        )
    if record.stopped is not None:
        raise _stopped(record.stopped)
    return caller_of(record)


def caller_of(record: KeyRecord) -> Caller:
    """The caller whose key is stored so."""
    return Caller(
        record.id,
        record.tenant,
        record.name,
        record.role,
        record.limits,
        record.tier,
        record.project,
        record.bounds,
        record.counts_since_us,
    )


def _stopped(what: Stopped) -> CallerError:
    whose = "This API key" if what == "key" else f"The {what} of this API key"
    return CallerError(
        "permission",
        f"{whose} is suspended: ask whoever manages it.",
        code="insufficient_permissions",
    )


def _is_local(credential: str, mode: IdentityMode, *, issued: bool) -> bool:
    if mode.accepts == "stored":
        return False
    if credential in mode.listed:
        return True
    # One that was issued stands in a database: in another, it is not simply any key.
    return mode.accepts == "wellformed" and not issued and bool(_WELL_FORMED.fullmatch(credential))


def _unknown(issued: bool, mode: IdentityMode, *, other_secret: bool) -> str:  # noqa: FBT001
    if mode.accepts == "listed":
        return "beyond loopback, local mode takes stored keys and LOCAL_KEYS alone"
    if mode.accepts == "stored":
        return "this gateway does not know it"
    if other_secret:
        return "the key was rotated, and this secret of before is over"
    if issued:
        here = (
            f"DRAGOMAN_HOME of this gateway is {mode.home}" if mode.home else "see DRAGOMAN_HOME"
        )
        return f"it was made for another database ({here})"
    return (
        "in local mode it must be drg_, sk- or 2api_ and at least 3 characters more, "
        "such as drg_test"
    )


def _invalid(reason: str) -> CallerError:
    return CallerError(
        "authentication", f"The API key is not accepted: {reason}.", code="invalid_api_key"
    )
