"""Before a call of Responses is tried: what it refers to is brought back, and who may answer it.

A response that the gateway keeps is turned into the items that were said, so that any provider can
go on from there; ``instructions`` are not among them (P150). One that its provider keeps is left
to that provider, and to no other. What another tenant has is not there (A21), even where a provider
would find it under our credential. What nobody has was made elsewhere: a provider that keeps
responses is asked for it as it stands (D1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, unsupported
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate, Plan
from dragoman.keeping.aside import aside
from dragoman.keeping.compose import compose
from dragoman.keeping.items import Item, is_id, read_input, read_items, read_output
from dragoman.keeping.keeper import Keeper
from dragoman.keeping.quota import refuse_if_full, refuse_if_large
from dragoman.keeping.wish import Wish, read_wish

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dragoman.keeping.ports import Content, Link


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is to be kept of a call once it is answered, and what its reply has to say."""

    tenant: str
    here: bool
    """Whether the caller wants it kept here, if a provider answers that does not keep it."""
    keepers: frozenset[str]
    """Providers of the plan that keep responses themselves, unless they are told not to."""
    noted: bool = False
    """Whether it is written down which of them keeps it."""
    input: tuple[Item, ...] = ()
    """What was new, each item with an id."""
    previous: str | None = None
    """The response that was brought back."""
    continued: tuple[str, ...] = ()
    """That response, and all before it."""
    losses: tuple[Loss, ...] = ()
    """What was brought back and could not be told to who answers."""


@dataclass(frozen=True, slots=True)
class _Recalled:
    items: tuple[Item, ...] = ()
    continued: tuple[str, ...] = ()
    at: str | None = None
    """The provider that keeps what is referred to."""
    credential: str | None = None


async def recall(
    ask: Ask, plan: Plan, call: Call, tenant: str, keeper: Keeper
) -> tuple[Ask, Plan, Keeping | None]:
    """The request with what it refers to, who may answer it, and what to keep of the answer.

    Raises:
        CallerError: it refers to what is not there, or wants what nobody of the plan can do.
        HouseError: the store cannot be reached.
    """
    size = len(ask.body)
    wish = await aside(size, partial(read_wish, ask.members))
    if wish.background:
        plan = _native_alone(plan, "background", "background")
    if wish.conversation is not None:
        plan = _native_alone(plan, "conversation", "conversation")
        plan = await _in_conversation(wish.conversation, plan, tenant, keeper)
    given: tuple[Item, ...] = ()
    if (
        wish.previous is not None
        or wish.input.stands_for_others
        or (wish.store and call.operation == "chat")
    ):
        # Of all others nothing but the top level is read.
        given = await aside(size, partial(read_input, ask.members.get("input")))
    before, new, plan = await _brought_back(wish, given, plan, tenant, keeper)
    keepers = frozenset(
        item.provider.name for item in plan.candidates if item.provider.family == "responses"
    )
    foreign = any(item.provider.family != "responses" for item in plan.candidates)
    here = wish.store is True and foreign and call.operation == "chat"
    if here and not keeper.policy.allowed:
        raise unsupported(
            "This gateway keeps no responses (allow_client_storage is off), and the model's provider "
            "has no Responses of its own; leave store out, or say false.",
            "store",
        )
    composed = await aside(
        size + sum(len(item.raw) for item in before.items),
        partial(
            compose,
            ask,
            call,
            wish,
            before.items,
            new,
            resolved=new != given,
            continued=bool(before.continued),
            keepers=bool(keepers),
            here=here,
        ),
    )
    await _refuse_strangers(composed.names, tenant, keeper)
    previous = wish.previous if before.continued else None
    # A conversation keeps what is said in it, whatever store says.
    noted = bool(keepers) and (wish.store is not False or wish.conversation is not None)
    if call.operation != "chat" or not (here or previous or noted):
        return composed.ask, plan, None
    kept = composed.kept
    refuse_if_large(kept, keeper.policy)
    if here:
        await refuse_if_full(sum(len(item.raw) for item in kept), tenant, keeper)
    keeping = Keeping(
        tenant=tenant,
        here=here,
        keepers=keepers,
        noted=noted,
        input=kept,
        previous=previous,
        continued=before.continued,
        losses=composed.losses,
    )
    return composed.ask, plan, keeping


async def _brought_back(
    wish: Wish, given: tuple[Item, ...], plan: Plan, tenant: str, keeper: Keeper
) -> tuple[_Recalled, tuple[Item, ...], Plan]:
    """What came before, the new items, and who can go on from there."""
    before, new = _Recalled(), given
    if wish.previous is not None:
        found = await _chain(wish.previous, tenant, keeper)
        if found is None:
            why = _no_response(wish.previous, "there is none of that id, or it has expired")
            plan = await _made_elsewhere(plan, (wish.previous,), tenant, keeper, why)
        before = found or before
        if before.at is not None:
            plan = _at(
                plan, before, keeper, f"The response {wish.previous}", "previous_response_id"
            )
    if wish.input.stands_for_others:
        new, holder, unknown = await _resolved(given, tenant, keeper)
        if unknown:
            names = tuple(item.id or "" for item in unknown)
            plan = await _made_elsewhere(plan, names, tenant, keeper, _no_item(names[0]))
        if holder.at is not None:
            if before.continued:
                raise unsupported(
                    f"The input refers to an item that {holder.at} keeps, and the response that it "
                    "continues is kept by the gateway; send the item itself.",
                    "input",
                )
            plan = _at(plan, holder, keeper, "An item that the input refers to", "input")
    return before, new, plan


async def _chain(previous: str, tenant: str, keeper: Keeper) -> _Recalled | None:
    """What the response that is continued says, oldest first; None: the tenant has none of that id."""
    links: tuple[Link, ...] = ()
    if is_id(previous):
        links = await keeper.store.chain(tenant, previous, keeper.policy.most_turns)
    if not links:
        return None
    if not links[0].here:
        return _Recalled(at=links[0].provider, credential=links[0].credential)
    if links[-1].previous is not None:
        if len(links) >= keeper.policy.most_turns:
            raise _too_long(f"has more than {keeper.policy.most_turns} responses")
        raise _no_response(previous, f"{links[-1].previous}, which it goes back to, is gone")
    size = sum(link.size for link in links)
    if size > keeper.policy.most_bytes:
        raise _too_long(f"has {size} bytes, of {keeper.policy.most_bytes} that are taken")
    names = tuple(link.id for link in reversed(links))
    contents = await keeper.store.contents(tenant, names)
    if len(contents) < len(names):
        raise _no_response(previous, "a part of it has just been deleted")
    said = await aside(size, lambda: conversation(contents[name] for name in names))
    return _Recalled(tuple(said), names)


def conversation(contents: Iterable[Content]) -> list[Item]:
    """What was said in several responses, one after the other."""
    found: list[Item] = []
    for content in contents:
        found += read_items(content.input)
        found += read_output(content.reply)
    return found


async def _resolved(
    given: tuple[Item, ...], tenant: str, keeper: Keeper
) -> tuple[tuple[Item, ...], _Recalled, list[Item]]:
    """The new items with references replaced by what is kept here, who keeps others, and unknown ones."""
    names = [item.id for item in given if item.is_reference and item.id is not None]
    wanted = tuple(name for name in dict.fromkeys(names) if is_id(name))
    holders = await keeper.store.holders(tenant, wanted)
    here = {link.id: link.size for link in holders.values() if link.here}
    size = sum(here.values())
    if size > keeper.policy.most_bytes:
        raise _too_long(
            f"stands in responses of {size} bytes, of {keeper.policy.most_bytes} that are read"
        )
    contents = await keeper.store.contents(tenant, tuple(here))
    said = await aside(size, partial(conversation, contents.values()))
    kept = {item.id: item for item in said}
    elsewhere = _Recalled()
    found: list[Item] = []
    unknown: list[Item] = []
    size = 0
    for item in given:
        if not item.is_reference:
            found.append(item)
            continue
        link = holders.get(item.id or "")
        if link is not None and item.id in kept:
            found.append(kept[item.id])
            size += len(kept[item.id].raw)
            continue
        found.append(item)
        if link is None:
            unknown.append(item)
            continue
        if link.here or elsewhere.at not in {None, link.provider}:
            raise _no_item(item.id or "")
        elsewhere = _Recalled(at=link.provider, credential=link.credential)
    if size > keeper.policy.most_bytes:
        raise _too_long(f"brings back {size} bytes, of {keeper.policy.most_bytes} that are taken")
    return tuple(found), elsewhere, unknown


# --------------------------------------------------------------------------- who may answer


async def _made_elsewhere(
    plan: Plan, names: tuple[str, ...], tenant: str, keeper: Keeper, refusal: CallerError
) -> Plan:
    """The candidates that may have what the gateway was never told of."""
    left = _native(plan)
    if not left or not all(map(is_id, names)) or await keeper.store.strangers(tenant, names):
        raise refusal
    return _only(plan, left, "", "")


async def _refuse_strangers(names: tuple[str, ...], tenant: str, keeper: Keeper) -> None:
    """Refuses ids under which a provider that is to be asked keeps what another tenant has made.

    Nobody asks the store about a request that carries no id. An id that the tenant has from that
    provider as well is its own: small servers number what they keep.
    """
    asked = tuple(dict.fromkeys(names))
    if not asked:
        return
    others = await keeper.store.strangers(tenant, asked, elsewhere=True)
    if not others:
        return
    own = await keeper.store.holders(tenant, tuple(others))
    for name in asked:
        if name in others and (name not in own or own[name].here):
            raise _no_item(name)


async def _in_conversation(name: str, plan: Plan, tenant: str, keeper: Keeper) -> Plan:
    """The candidates that may go on with a conversation; one that nobody has was begun elsewhere."""
    if not name:
        return plan  # its provider says what is wrong with it
    if not is_id(name):
        raise _no_conversation(name)
    link = (await keeper.store.holders(tenant, (name,))).get(name)
    if link is not None and not link.here:
        holder = _Recalled(at=link.provider, credential=link.credential)
        if _there(plan, holder, keeper):
            return _at(plan, holder, keeper, f"The conversation {name}", "conversation")
        # Made past the gateway, at whom it is asked for now: who has another of that name is no reason.
    if await keeper.store.strangers(tenant, (name,)):
        raise _no_conversation(name)
    return plan


def _native(plan: Plan) -> list[Candidate]:
    """The candidates that speak Responses themselves."""
    return [item for item in plan.candidates if item.provider.family == "responses"]


def _native_alone(plan: Plan, param: str, what: str) -> Plan:
    """No others than those."""
    return _only(
        plan,
        _native(plan),
        f"{what} needs a provider with Responses of its own, and {_names(plan)} has none; "
        f"leave {param} out, or choose another model.",
        param,
    )


def _at(plan: Plan, where: _Recalled, keeper: Keeper, what: str, param: str) -> Plan:
    """The candidates at the provider that keeps what is referred to, by the same key if it is there."""
    there = _there(plan, where, keeper)
    same = [
        item
        for item in there
        if (item.credential.id if item.credential else None) == where.credential
    ]
    return _only(
        plan,
        same or there,
        f"{what} is kept by {where.at}, and {_names(plan)} cannot go on from there; "
        f"choose a model of {where.at}, or send the items themselves.",
        param,
    )


def _there(plan: Plan, where: _Recalled, keeper: Keeper) -> list[Candidate]:
    """The candidates at a provider, by its name or its address."""
    address = keeper.address(where.at or "")
    return [
        item
        for item in plan.candidates
        if item.provider.family == "responses"
        and (item.provider.name == where.at or item.provider.base_url == address)
    ]


def _only(plan: Plan, left: Sequence[Candidate], refusal: str, param: str) -> Plan:
    if not left:
        raise unsupported(refusal, param)
    if len(left) == len(plan.candidates):
        return plan
    return structs.replace(plan, candidates=tuple(left))


def _names(plan: Plan) -> str:
    return " or ".join(dict.fromkeys(item.provider.name for item in plan.candidates))


# --------------------------------------------------------------------------- refusals


def _no_response(previous: str, why: str) -> CallerError:
    return CallerError(
        "invalid_request",
        f"Previous response with id '{previous[:80]}' not found: {why}. A response of a provider "
        "without Responses of its own is kept only if its request says store: true.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def _no_conversation(name: str) -> CallerError:
    return CallerError(
        "invalid_request",
        f"Conversation with id '{name[:80]}' not found.",
        status=404,
        code="conversation_not_found",
        param="conversation",
    )


def _no_item(name: str) -> CallerError:
    return CallerError(
        "invalid_request",
        f"Item with id '{name[:80]}' not found. Items of a provider without Responses of "
        "its own are kept only if their request says store: true; with store: false clients send "
        "the items themselves.",
        status=404,
        code="item_not_found",
        param="input",
    )


def _too_long(what: str) -> CallerError:
    return CallerError(
        "invalid_request",
        f"What the request goes back to {what}; begin anew with the items that matter.",
        code="conversation_too_long",
        param="previous_response_id",
    )
