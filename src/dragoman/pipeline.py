"""The one sentence: who calls, may they, what do they ask, who can answer, and the answer.

    bytes → surface → identity → admission → routing → attempt → dialects → bytes
                                                        accounting listens all along

Every request goes this way, top to bottom; streaming and whole replies are one path. Whoever
reads ``carry`` has read the product.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from dragoman.accounting.account import Accountant
from dragoman.accounting.account import Tab as Account
from dragoman.accounting.ending import accounted, end_account, tell_failure
from dragoman.accounting.ports import Purse
from dragoman.accounting.tags import HEADER as TAGS_HEADER
from dragoman.accounting.tags import MEMBER as TAGS_MEMBER
from dragoman.accounting.tags import tags_of
from dragoman.admission import door
from dragoman.admission.admit import Gate
from dragoman.admission.afford import afford, afford_now, paying
from dragoman.admission.budget_bound import Size, plain_size
from dragoman.admission.budgets import Budgets
from dragoman.admission.end_user import HEADERS as USER_HEADERS
from dragoman.admission.end_user import MEMBERS as USER_MEMBERS
from dragoman.admission.end_user import end_user
from dragoman.admission.ride import paid_now
from dragoman.admission.tool_limits import ToolLimits, check_tools
from dragoman.attempt.attempt import attempt
from dragoman.attempt.estimate import estimate, has_counter, lacks_counter
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Tab
from dragoman.catalog.listing import ListingRequest
from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import AUTO, LONGEST, ListingsNeeded
from dragoman.core.ask import Ask, read_ask
from dragoman.core.call import Answer, Call, Caller, Hold, Limits, Outcome
from dragoman.core.clock import Clock
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Candidate, Family, Operation, Plan, Strategy
from dragoman.credentials.book import Book
from dragoman.credentials.own import NOTHING
from dragoman.credentials.pool import Pools
from dragoman.credentials.reached import Reached
from dragoman.credentials.view import View, needs_more, view_of
from dragoman.health.health import Health
from dragoman.identity.authenticate import IdentityMode, authenticate
from dragoman.identity.permissions import Permission, permit
from dragoman.identity.ports import KeyStore
from dragoman.keeping.keep import keep
from dragoman.keeping.keeper import Keeper
from dragoman.keeping.recall import Keeping, recall
from dragoman.reuse.cached import give_cached
from dragoman.reuse.give import give_recorded
from dragoman.reuse.recorder import Recorder
from dragoman.reuse.wish import KEY, RESUMABLE, read_wish
from dragoman.routing.confine import is_within
from dragoman.routing.needs import needs_of, tokens_asked, tokens_of_text
from dragoman.routing.route import route
from dragoman.routing.sieve import MOST_TOLD
from dragoman.routing.sight import Sight
from dragoman.routing.strategies import Turns
from dragoman.routing.window import window_of
from dragoman.routing.wish import ATTEMPTS, STEERING, parse_wish, with_attempts

_SAYING = frozenset({*USER_HEADERS, TAGS_HEADER, ATTEMPTS})
_SAY_LABELS = frozenset({*USER_MEMBERS, TAGS_MEMBER})
"""Headers and members by which a request may say something for reports, or of its tries."""
_USE_TOKENS: frozenset[Operation] = frozenset({"chat", "embeddings"})
MOST_VIEWS = 1024
MOST_PLANS = 4096
"""Model strings are foreign input."""


@dataclass(slots=True)
class House:
    """What a call needs on its way; ``services`` puts it together."""

    keys: KeyStore
    mode: IdentityMode
    gate: Gate
    registry: Registry
    health: Health
    pools: Pools
    fetch_listings: Callable[[tuple[ListingRequest, ...]], Awaitable[None]]
    accountant: Accountant
    keeper: Keeper
    recorder: Recorder
    means: Means
    clock: Clock
    strategy: Strategy = "cost"
    """How ``auto`` chooses unless the request says it."""
    budgets: Budgets | None = None
    """None: nobody keeps any."""
    turns: Turns = field(default_factory=Turns)
    tenants: Mapping[str, Registry] = field(default_factory=dict)
    """What tenants see that have names of their own; all others see ``registry``."""
    services: Mapping[str, Reached] = field(default_factory=dict)
    """Other services that callers reach through us."""
    plans: dict[tuple[str | None, Operation, Family, str | None], Plan] = field(
        default_factory=dict
    )
    """Plans of one candidate, kept until a provider's list of models changes what is known."""
    book: Book | None = None
    """Which tenants bring credentials of their own; None: nobody can."""
    holders: set[str] = field(default_factory=set)
    """The tenants in the book."""
    views: dict[str, View] = field(default_factory=dict)
    """What the tenants see that have names or credentials of their own, once they have called."""
    widened: Callable[[Registry], Awaitable[Registry]] | None = None
    """Gives a registry with the providers that lack a key alone."""
    tool_limits: ToolLimits | None = None
    """With any, no plan is kept: so only those who want them pay for a look at each request."""

    def forget_plans(self) -> None:
        """More is known of models than before."""
        self.plans.clear()
        self.views.clear()

    def forget_view(self, tenant: str | None) -> None:
        """Something of a tenant's has changed; None: of everybody's."""
        if tenant is None:
            self.views.clear()
        else:
            self.views.pop(tenant, None)


def carry(call: Call, permission: Permission, house: House) -> Awaitable[Answer]:
    """Carries one call from its caller to a provider and back.

    Raises:
        GatewayError: the call was refused or failed.
    """
    # No coroutine of its own where the key is known at once, as each is entered twice for every call.
    proof = call.proof
    caller = None if proof is None else house.keys.known(proof.value)
    if caller is None:
        return _carry_stranger(call, permission, house)
    permit(caller, permission, call.dialect)
    call.caller = caller
    return enter(call, caller, house.accountant.open_tab(call, caller), house)


async def _carry_stranger(call: Call, permission: Permission, house: House) -> Answer:
    caller = await identify(call, permission, house)
    return await enter(call, caller, house.accountant.open_tab(call, caller), house)


async def enter(call: Call, caller: Caller, tab: Account, house: House) -> Answer:
    """Lets the call in, has it answered, and brings its account to its end."""
    # As ``accounted`` does; without it, as every call would enter one coroutine more.
    answer: Answer | None = None
    try:
        if not door.let_in(call, caller, house.gate):
            await door.let_in_later(call, caller, house.gate)
        body = await call.read_body()
        headers = call.headers
        if KEY in headers or RESUMABLE in headers or house.recorder.policy.cache_s:
            answer = await _reuse(call, caller, body, tab, house)
        else:
            answer = await serve(call, body, tab, house)
    except Exception as error:
        tell_failure(error, call)
        raise
    finally:
        end_account(answer, call, tab)
    return answer


async def _reuse(call: Call, caller: Caller, body: bytes, tab: Account, house: House) -> Answer:
    """The answer to a call that may ask for one that was made before, or to be given this one again."""
    wish = read_wish(call.headers, caller.key_id, house.recorder.policy)
    if wish is None:
        return await serve(call, body, tab, house)
    if wish.recorded:
        return await give_recorded(wish, call, body, partial(record, house), house.recorder)
    assert wish.cache is not None, "nothing else can be wished for"
    new = partial(serve, call, body, tab, house)
    return await give_cached(wish.cache, call, body, new, tab.finish, house.recorder)


async def record(house: House, call: Call, body: bytes) -> Answer:
    """The answer to a call that is recorded: it has an account of its own, and no connection."""
    assert call.caller is not None, "it was let in"
    tab = house.accountant.open_tab(call, call.caller)
    if call.hold is not None:
        # It goes on when who asked for it has left, and is under way until then.
        call.hold.join()
        call.ended += (partial(_left, call.hold),)
    return await accounted(serve(call, body, tab, house), call, tab)


def _left(hold: Hold, outcome: Outcome) -> None:
    del outcome
    hold.leave()


async def serve(call: Call, body: bytes, tab: Account, house: House) -> Answer:
    """A new answer, by whoever can give it."""
    caller, outcome, operation = call.caller, call.outcome, call.operation
    assert caller is not None, "it was let in"
    ask = read_ask(body, call.named, call.streams)
    quota = house.gate.tiers.quota(caller)
    limits = quota.rules.limits
    size: Size | None = None
    if operation in _USE_TOKENS and not quota.rules.tokens.is_open:
        size = plain_size(ask, call.dialect) if operation == "chat" else None
        if size is None:
            tokens = max(1, tokens_asked(ask, call.dialect, operation))
        else:
            tokens = tokens_of_text(len(body), size.output)
        if not door.reserve(tokens, quota, call, house.gate):
            await door.reserve_later(tokens, call, caller, house.gate)
    outcome.requested_model = ask.model or ""
    members = ask.members
    # Views of keys are asked, which look for the fewer ones among the more.
    if not (call.headers.keys().isdisjoint(_SAYING) and members.keys().isdisjoint(_SAY_LABELS)):
        label(ask, call, tab)
        ask = with_attempts(ask, call.headers)
        members = ask.members
    outcome.stream = ask.stream and operation == "chat"
    if call.sampled:
        call.asked = members
    plan = kept_plan(ask, call, caller, limits, house)
    if plan is None:
        plan = await choose(ask, call, limits, house)
    kept: Keeping | None = None
    if call.dialect == "responses":
        ask, plan, kept = await recall(ask, plan, call, caller.tenant, house.keeper)
    budgets = house.budgets
    if budgets is not None and budgets.active:
        purse: Purse | None = paid_now(plan, ask, call, caller, budgets, size)
        if purse is None and (payers := paying(ask, call, caller, budgets)) is not None:
            price = house.accountant.price_now
            purse = afford_now(plan, ask, call, payers, budgets, needs_of, price, size)
            if purse is None:
                # That takes a second look; who is asked then, and for what (D16).
                found = await afford(plan, ask, call, payers, budgets, needs_of, price)
                plan, ask, purse = found.plan, found.ask, found.purse
        tab.purse = purse
    outcome.plan = plan
    if operation == "count_tokens":
        answer = await count(plan, ask, call, tab, house)
    else:
        answer = await attempt(plan, ask, call, tab, house.means)
    return answer if kept is None else await keep(answer, kept, call, house.keeper)


def label(ask: Ask, call: Call, tab: Account) -> None:
    """What the request says of itself for reports: who is behind its caller, and its tags."""
    user = end_user(call.headers, ask.members)
    tags = tags_of(call.headers, ask.members)
    if user or tags:
        tab.label(user, tags)


async def identify(call: Call, permission: Permission, house: House) -> Caller:
    """Who is calling, if the matched route is theirs to use."""
    caller = await find_caller(call, house)
    permit(caller, permission, call.dialect)
    call.caller = caller
    return caller


async def find_caller(call: Call, house: House) -> Caller:
    """Who is calling, whatever they may do."""
    proof, keys = call.proof, house.keys
    known = None if proof is None else keys.known(proof.value)
    if known is not None:
        return known
    found = await authenticate(proof, keys, house.mode, house.clock)
    # What is kept of a caller is found by the one piece that its next calls will have, too.
    return (None if proof is None else keys.known(proof.value)) or found


async def let_in(call: Call, caller: Caller, house: House) -> None:
    """Counts the call against the caller's limits, before its body is read."""
    if not door.let_in(call, caller, house.gate):
        await door.let_in_later(call, caller, house.gate)


def kept_plan(ask: Ask, call: Call, caller: Caller, limits: Limits, house: House) -> Plan | None:
    """The plan of a request that asks for nothing but a model; None: ``choose`` says who may answer."""
    known = house.plans.get((ask.model, call.operation, call.dialect, call.home))
    tenant, bounds = caller.tenant, caller.bounds
    if (
        known is None
        or tenant in house.holders
        or tenant in house.tenants
        or limits.require_score
        or not ask.members.keys().isdisjoint(STEERING[call.dialect])
    ):
        return None
    return known if bounds is None or is_within(known, bounds) else None


async def choose(ask: Ask, call: Call, limits: Limits, house: House) -> Plan:
    """Who may answer, in order; models that nobody knows yet are looked up once (D13).

    ``limits`` are those that hold for the caller: they may say which scores it prefers.
    """
    members = ask.members
    if house.tool_limits is not None:
        check_tools(house.tool_limits, ask, call.dialect, partial(_warn, call, house))
    # A string may be padded to any length, and would be kept as it is.
    short = ask.model is not None and len(ask.model) <= LONGEST
    assert call.caller is not None, "it was let in"
    window = window_of(limits)
    steers = STEERING[call.dialect]
    plain = not window.required and short and steers.isdisjoint(members)
    # Another configuration brings other plans: what is made of this one must not be kept among them.
    plans, registry, pools = house.plans, house.registry, house.pools
    tenant, bounds = call.caller.tenant, call.caller.bounds
    if tenant in house.holders or tenant in house.tenants:
        # What its names mean, and who is asked for it with which key, is kept for nobody else.
        view = house.views.get(tenant) or await look_through(tenant, house)
        plans, registry, pools = view.plans, view.registry, view.pools
    if plain:
        known = plans.get((ask.model, call.operation, call.dialect, call.home))
        if known is not None and (bounds is None or is_within(known, bounds)):
            return known
    provider = members.get("provider") if "provider" in steers else None
    wish = parse_wish(members.get("routing"), members.get("models"), provider)
    sight = Sight(
        registry,
        house.health,
        pools,
        house.clock.monotonic(),
        call.operation,
        call.dialect,
        ask,
        call.wall,
        random.random,
        house.turns,
        house.strategy,
        window=window,
        bounds=bounds,
    )
    try:
        plan = route(ask.model, sight, wish=wish, home=call.home)
        if isinstance(plan, ListingsNeeded):
            await house.fetch_listings(plan.requests)
            plan = route(ask.model, sight, wish=wish, asked=True, home=call.home)
    except CallerError:
        call.outcome.plan = Plan(ask.model or "", (), skipped=tuple(sight.skipped[:MOST_TOLD]))
        raise
    assert isinstance(plan, Plan), "listings are asked for once"
    call.outcome.requested_model = plan.requested
    if (
        plain
        and bounds is None
        and house.tool_limits is None
        and len(plan.candidates) == 1
        and not plan.skipped
        and plan.requested != AUTO
    ):
        # One candidate is no choice: neither health nor whose turn it is changes the plan. Where it
        # was left over by what this request needs, the next may need something else.
        if len(plans) >= MOST_PLANS:
            plans.clear()
        plans[ask.model, call.operation, call.dialect, call.home] = plan
    return plan


def _warn(call: Call, house: House, message: str) -> None:
    if house.means.tell is not None:
        house.means.tell("warning", message, request_id=call.request_id, call_id=call.id)


async def registry_of(tenant: str, house: House) -> Registry:
    """The providers and names that a tenant's calls see.

    Raises:
        HouseError: its credentials cannot be read.
    """
    if tenant in house.holders or tenant in house.tenants:
        view = house.views.get(tenant) or await look_through(tenant, house)
        return view.registry
    return house.registry


async def look_through(tenant: str, house: House) -> View:
    """What a tenant sees that has names or credentials of its own.

    Raises:
        HouseError: its credentials cannot be read.
    """
    while True:
        holding = NOTHING
        book = house.book if tenant in house.holders else None
        if book is not None:
            holding = await book.of(tenant)
        registry = wide = house.registry
        if house.widened is not None and needs_more(holding, registry):
            wide = await house.widened(registry)
        if house.registry is not registry:
            continue  # another configuration has come meanwhile
        seen = house.tenants.get(tenant, registry)
        view = view_of(seen, wide, house.pools, tenant, holding)
        if book is None or book.known.get(tenant) is holding:
            # What has changed while it was read is another view, for the next call.
            if len(house.views) >= MOST_VIEWS:
                del house.views[next(iter(house.views))]
            house.views[tenant] = view
        return view


async def count(plan: Plan, ask: Ask, call: Call, tab: Tab, house: House) -> Answer:
    """The tokens of a request: by the provider's own counter where it has one."""
    candidate = plan.candidates[0]
    if has_counter(candidate):
        try:
            return await attempt(plan, ask, call, tab, house.means)
        except UpstreamError as error:
            if not lacks_counter(error, candidate, call.dialect):
                raise
    return await count_here(ask, candidate, call)


async def count_here(ask: Ask, candidate: Candidate, call: Call) -> Answer:
    """An estimate of tokens, said to be one, where the provider has no counter (D38)."""
    head = await estimate(ask, candidate, call.dialect)
    call.outcome.estimated = True
    call.outcome.status, call.outcome.http_status = "complete", head.status
    return Answer(head)
