"""What is sent on of a request of Responses, and what of it is new: bytes in, bytes out, no waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct, structs

from dragoman.core.ask import Ask
from dragoman.core.errors import CallerError
from dragoman.core.loss import Loss
from dragoman.keeping.items import (
    Item,
    containers,
    for_their_provider,
    referred,
    settled,
    write_items,
)

if TYPE_CHECKING:
    from dragoman.core.call import Call
    from dragoman.keeping.wish import Wish


class Composed(Struct, frozen=True):
    """A request as it is sent on."""

    ask: Ask
    names: tuple[str, ...] = ()
    """Ids in it under which a provider would look for what it keeps."""
    kept: tuple[Item, ...] = ()
    """What was new, each item with an id, where it is to be kept."""
    losses: tuple[Loss, ...] = ()
    """What was brought back and cannot be told to who answers."""


def compose(
    ask: Ask,
    call: Call,
    wish: Wish,
    before: tuple[Item, ...],
    new: tuple[Item, ...],
    *,
    resolved: bool,
    continued: bool,
    keepers: bool,
    here: bool,
) -> Composed:
    """The request with what came before.

    Args:
        ask: as the caller sent it.
        call: whose it is.
        wish: what it says of keeping.
        before: what was brought back, oldest first.
        new: its own items, with what they referred to.
        resolved: whether these are others than the caller sent.
        continued: whether a response is continued that is kept here.
        keepers: whether somebody may answer who keeps responses.
        here: whether what is new is to be kept here.

    Raises:
        CallerError: ``x-dragoman-strict`` forbids what would be lost.
    """
    losses: tuple[Loss, ...] = ()
    if before and keepers:
        before, losses = for_their_provider(before)
        _refuse_if_strict(call, losses)
    changes: dict[str, Raw | None] = {}
    names: tuple[str, ...] = ()
    if keepers:
        names = (*wish.input.names, *containers(ask.members.get("tools")))
    if continued:
        changes["previous_response_id"] = None
    if continued or resolved:
        written = write_items((*before, *new))
        changes["input"] = Raw(written)
        if keepers:
            names += referred(written).names
    kept = settled(new, call.id.replace("-", "")) if here else ()
    return Composed(_changed(ask, changes), names, kept, losses)


def _changed(ask: Ask, changes: dict[str, Raw | None]) -> Ask:
    """The request with members replaced; None takes one out."""
    if not changes:
        return ask
    members = {**ask.members, **changes}
    kept = {name: value for name, value in members.items() if value is not None}
    return structs.replace(ask, body=msgspec.json.encode(kept), members=kept)


def _refuse_if_strict(call: Call, losses: tuple[Loss, ...]) -> None:
    if call.strict and losses:
        raise CallerError(
            "unsupported_feature",
            f"x-dragoman-strict is set, and {losses[0].path} would be {losses[0].action}: "
            f"{losses[0].reason}.",
            code="unsupported_feature",
            param=losses[0].path,
        )
