"""OB-1's accounts over HTTP: how they stand, logged in, renewed, removed, moved, and whose turn it is (R-ADM-011).

No answer holds a token but that of an export, which is asked for by a POST and stands in the audit log. The
proxy is shown here and said in the configuration: connections are made by it from the start on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Query
from msgspec import to_builtins
from msgspec.structs import replace
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.accounts import AccountShown, Today, spent_today
from dragoman.admin.accounts_kept import Work
from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admin.providers import says_anything
from dragoman.catalog.stored import StoredProvider
from dragoman.core.errors import CallerError, invalid
from dragoman.core.provider import Rotation
from dragoman.credentials.accounts import Account, Standing, read_account
from dragoman.credentials.token import USABLE

router = room("ob1")

NAME = "ob1"
_T = TypeVar("_T")

Secretive = Annotated[
    str, StringConstraints(min_length=1, max_length=16384, pattern=r"^[\x21-\x7e]+$")
]
_FAILED: dict[int | str, dict[str, Any]] = {
    502: {
        "description": "The server of the logins failed",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
    }
}


class Status(BaseModel):
    """Whether OB-1 can be used, and how."""

    usable: bool = Field(description="Whether an account has a token, or one that can be renewed")
    accounts: dict[str, int] = Field(description="How many there are, by their state")
    rotation_mode: Rotation
    rotation_mode_from: Literal["admin", "configuration"]
    proxy: str | None = Field(description="Without its password; OB1_PROXY_URL says it")
    today: Today | None = Field(description="Null: OB-1 is not configured")


class RotationSaid(Strict):
    """Whose turn it is among the accounts."""

    mode: Rotation | None = Field(description="Null: as the configuration says")


class RotationShown(BaseModel):
    """Whose turn it is now."""

    rotation_mode: Rotation
    rotation_mode_from: Literal["admin", "configuration"]


class RefreshSaid(Strict):
    """Which accounts are to get other tokens."""

    account: Word | None = Field(None, description="Null: all of them")


class RenewalShown(AccountShown):
    """What came of renewing an account."""

    renewed: bool
    trouble: str | None = Field(description="What kept it from being renewed")


class Renewals(BaseModel):
    """What came of renewing accounts."""

    accounts: list[RenewalShown]


class AccountSaid(Strict):
    """An account as ``accounts.json`` has it; with no name it is known by its ``user_id``."""

    email: Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f/]*$")] = ""
    access_token: Secretive
    refresh_token: Annotated[str, StringConstraints(max_length=16384)] = ""
    expires_at: float = Field(0, ge=0, le=1e14, description="Unix seconds or milliseconds")
    org_id: Annotated[str, StringConstraints(max_length=256, pattern=r"^[\x21-\x7e]*$")] = ""
    org_name: Annotated[str, StringConstraints(max_length=256)] = ""
    user_id: Annotated[
        str, StringConstraints(max_length=256, pattern=r"^[\x21-\x2e\x30-\x7e]*$")
    ] = ""
    user_data: dict[str, Any] = Field({}, description="What OB-1 has said of the person")
    login_again: Annotated[str, StringConstraints(max_length=1024)] = ""
    token_uri: Annotated[str, StringConstraints(max_length=2048)] = ""


class ImportSaid(Strict):
    """Accounts from elsewhere, such as those of an export."""

    accounts: list[AccountSaid] = Field(min_length=1, max_length=100)


class Imported(BaseModel):
    """Which accounts were taken over."""

    added: list[str]
    replaced: list[str]


class ExportSaid(Strict):
    """Which accounts are wanted."""

    account: Word | None = Field(None, description="Null: all of them")


class Exported(BaseModel):
    """Accounts with their tokens: whoever has this can use them."""

    accounts: list[dict[str, Any]]


class BegunShown(BaseModel):
    """What a person has to do, and how to ask whether it was done."""

    id: str = Field(description="For the questions whether it was typed; it holds nothing for you")
    user_code: str
    url: str
    whole_url: str | None = Field(description="With the code in it")
    expires_at: float = Field(description="Unix seconds")
    interval_s: float = Field(description="The pause between two questions")


class PollSaid(Strict):
    """Which login is asked about."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[\x21-\x7e]+$")]


class PollShown(BaseModel):
    """How a login stands."""

    state: Literal["pending", "complete", "expired", "error"]
    account: str | None = Field(description="Of one that is complete")
    slower: bool = Field(description="The pauses have to be 5 s longer from now on")
    why: str | None = Field(description="Of an error")


async def _done(desk: Desk, what: Callable[[Work], _T]) -> _T:
    """A piece of work with the accounts, in a thread."""
    return await asyncio.to_thread(lambda: what(desk.ob1.work()))


def _shown(each: Standing) -> dict[str, Any]:
    shown: dict[str, Any] = to_builtins(each)
    return shown


def _unknown(account: str) -> CallerError:
    return CallerError(
        "not_found",
        f"OB-1 has no account {account[:64]!a} here.",
        code="not_found",
        param="account",
    )


async def _rotation(desk: Desk) -> tuple[Rotation, Literal["admin", "configuration"]]:
    own = next((each for each in await desk.names.providers() if each.name == NAME), None)
    if own is not None and own.rotation is not None:
        return own.rotation, "admin"
    return desk.ob1.rotation(), "configuration"


@router.get("/api/admin/ob1")
async def status(desk: DeskOf) -> Status:
    """Whether a call could be made by an account, whose turn it is, and today's money."""
    standings = await _done(desk, lambda work: work.standings())
    states = [each.state for each in standings]
    mode, said_by = await _rotation(desk)
    today = await spent_today(desk)
    return Status(
        usable=any(state in USABLE for state in states),
        accounts={state: states.count(state) for state in sorted(set(states))},
        rotation_mode=mode,
        rotation_mode_from=said_by,
        proxy=desk.ob1.proxy(),
        today=next((each for each in today if each.provider == NAME), None),
    )


@router.get("/api/admin/ob1/accounts")
async def list_accounts(desk: DeskOf, asked: Annotated[Asked, Query()]) -> Listed[AccountShown]:
    """The accounts by name."""
    after = place_of(asked.cursor, str) or ""
    found = await _done(desk, lambda work: work.standings())
    rows = sorted((each for each in found if each.account > after), key=lambda row: row.account)
    return page_of(
        rows, asked.limit, lambda row: AccountShown(**_shown(row)), lambda row: row.account
    )


@router.post("/api/admin/ob1/accounts/refresh")
async def refresh(desk: DeskOf, call: CallOf, said: RefreshSaid) -> Renewals:
    """Renews tokens, though they may be good yet; one that fails keeps none of the others from theirs."""
    if said.account is not None:
        await _known(desk, said.account)
    async with deed(desk, call, "ob1_account.refresh", said.account or "*") as note:
        found = await _done(desk, lambda work: work.renew(said.account))
        note.after = {each.standing.account: each.renewed for each in found}
    return Renewals(
        accounts=[
            RenewalShown(**_shown(each.standing), renewed=each.renewed, trouble=each.why)
            for each in found
        ]
    )


async def _known(desk: Desk, account: str) -> Standing:
    found = await _done(desk, lambda work: work.standings())
    standing = next((each for each in found if each.account == account), None)
    if standing is None:
        raise _unknown(account)
    return standing


@router.delete("/api/admin/ob1/accounts/{account}", status_code=204)
async def forget(desk: DeskOf, call: CallOf, account: Word) -> None:
    """Forgets an account, in use no more at once; at OB-1 its login goes on."""
    before = await _known(desk, account)
    async with deed(desk, call, "ob1_account.delete", account, before=_shown(before)):
        if not await _done(desk, lambda work: work.remove(account)):
            raise _unknown(account)
        await desk.renew()


def _account(said: AccountSaid) -> Account:
    account = read_account(said.model_dump(exclude_defaults=True))
    assert account is not None, "it has a token"
    if not account.is_named:
        raise invalid(
            "An account needs a name: say its email or its user_id.",
            "accounts",
            "missing_required_field",
        )
    return account


@router.post("/api/admin/ob1/accounts/import")
async def take_over(desk: DeskOf, call: CallOf, said: ImportSaid) -> Imported:
    """Takes accounts over; one of a name that is there takes its place."""
    accounts = [_account(each) for each in said.accounts]
    names = ", ".join(dict.fromkeys(each.id for each in accounts))
    async with deed(desk, call, "ob1_account.import", names[:256]) as note:
        added, replaced = await _done(desk, lambda work: work.take(accounts))
        await desk.renew()
        note.after = {"added": added, "replaced": replaced}
    return Imported(added=added, replaced=replaced)


@router.post("/api/admin/ob1/accounts/export")
async def give_out(desk: DeskOf, call: CallOf, said: ExportSaid) -> Exported:
    """The accounts with their tokens, as an import takes them; that it was done is in the audit log."""
    names = [each.account for each in await _done(desk, lambda work: work.standings())]
    wanted = [name for name in names if said.account in {None, name}]
    if said.account is not None and not wanted:
        raise _unknown(said.account)
    async with deed(desk, call, "ob1_account.export", said.account or "*") as note:
        rows = await _done(desk, lambda work: work.give(wanted))
        note.after = {"accounts": wanted}
    return Exported(accounts=rows)


@router.post("/api/admin/ob1/device-auth", responses=_FAILED)
async def begin(desk: DeskOf, call: CallOf) -> BegunShown:
    """Asks OB-1 for a code, which a person types in a browser, anywhere."""
    async with deed(desk, call, "ob1_login.begin", NAME):
        begun = await _done(desk, lambda work: work.begin(desk.ob1.seal))
    return BegunShown(**{**to_builtins(begun), "whole_url": begun.whole_url or None})


@router.post("/api/admin/ob1/device-auth/poll", responses=_FAILED)
async def poll(desk: DeskOf, call: CallOf, said: PollSaid) -> PollShown:
    """Asks whether it was typed; a complete login is in use at once."""
    found = await _done(desk, lambda work: work.poll(desk.ob1.open(said.id)))
    if found is None:
        raise invalid("No login was begun here under this id.", "id", "invalid_field_value")
    token = found.token
    if token is None:
        return PollShown(state=found.state, account=None, slower=found.slower, why=found.why)
    async with deed(desk, call, "ob1_account.login", NAME) as note:
        account = await _done(desk, lambda work: work.keep(token))
        await desk.renew()
        note.after = {"account": account}
    return PollShown(state="complete", account=account, slower=False, why=None)


@router.put("/api/admin/ob1/rotation-mode")
async def turn(desk: DeskOf, call: CallOf, said: RotationSaid) -> RotationShown:
    """Says whose turn it is, in force at once in every process, and before what the configuration says."""
    async with changing(desk) as overlay:
        old = next((each for each in overlay.providers if each.name == NAME), StoredProvider(NAME))
        new = replace(old, rotation=said.mode)
        async with deed(
            desk, call, "ob1.rotation_mode", NAME, before={"mode": old.rotation}
        ) as note:
            if says_anything(new):
                await desk.names.put_provider(new, None)
            else:
                await desk.names.remove_provider(NAME)
            await desk.renew()
            note.after = {"mode": new.rotation}
    mode, said_by = await _rotation(desk)
    return RotationShown(rotation_mode=mode, rotation_mode_from=said_by)
