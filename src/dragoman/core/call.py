"""What crosses between the rooms: the call, its caller, its ticket, its outcome.

Rooms never import one another; they hand these on (`design.md` §1).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from msgspec import Raw, Struct, field

from dragoman.core.ask import Streams
from dragoman.core.errors import GatewayError
from dragoman.core.loss import Loss
from dragoman.core.provider import Family, Operation, Plan, Skipped
from dragoman.core.response import Finish
from dragoman.core.scopes import Bounds
from dragoman.core.usage import Usage

Role: TypeAlias = Literal["admin", "tenant_admin", "user"]

DEFAULT_TENANT = "default"
DEFAULT_PROJECT = "default"
"""Every tenant has it, and in it are the keys of whom no other was said."""


class Proof(Struct, frozen=True, gc=False):
    """The credential that a caller presented: the value and the header that it came in."""

    value: str
    via: str

    def __repr__(self) -> str:
        return f"Proof(via={self.via!r})"


class Limits(Struct, frozen=True, gc=False):
    """What a key or a tier may use; None: nothing is said, 0: not limited (R-TIER-002)."""

    rps: int | None = None
    """Requests in any second."""
    rpm: int | None = None
    """Requests in any minute."""
    rpd: int | None = None
    """Requests in any 24 hours."""
    tpm: int | None = None
    """Tokens, of requests and answers together, in any minute."""
    tpd: int | None = None
    """Tokens in any 24 hours."""
    max_tokens: int | None = None
    """Tokens in all: the allowance."""
    concurrency: int | None = None
    """Requests under way at once; a stream is under way until its last piece."""
    min_provider_score: float | None = None
    """The lowest score, 0 to 100, of who answers (R-ROUTE-008)."""
    max_provider_score: float | None = None
    require_score: bool | None = None
    """Nobody outside of the scores answers, even where nobody is within them."""


NO_LIMITS = Limits()


def said_limits(limits: Limits) -> dict[str, float | bool]:
    """The members of which something is said, by their names."""
    said = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    return {name: value for name, value in said.items() if value is not None}


class Caller(Struct, frozen=True):
    """Who is calling; ``key_id`` is the public id of the key, safe to log."""

    key_id: str
    tenant: str
    name: str = ""
    role: Role = "user"
    limits: Limits = NO_LIMITS
    """The key's own, which go before its tier's."""
    tier: str | None = None
    project: str = DEFAULT_PROJECT
    """Whose budgets it spends, within the tenant."""
    bounds: Bounds | None = None
    """What it may be used for, where that is less than its role reaches."""
    counts_since_us: int | None = None
    """Since when what it uses counts, in Unix microseconds; None: ever."""


class Gauge(Struct, frozen=True, gc=False):
    """How a limit of a caller stands."""

    limit: int
    remaining: int
    reset_s: float
    """Until all of it is free again."""


class Allowed(Struct, frozen=True, gc=False):
    """Admission's yes, with how the tightest limits stand, for the caller's headers."""

    requests: Gauge | None = None
    tokens: Gauge | None = None


UNLIMITED = Allowed()


class Denied(Struct, frozen=True, gc=False):
    """Admission's no: which limit, and when to come back; None: waiting does not help."""

    limit_name: str
    limit: int
    retry_after_s: float | None
    asked: int = 1
    """How much was asked for, and of a limit on tokens how much was free."""
    free: int = 0
    requests: Gauge | None = None
    """How the limits on requests stand, where it was another that refused."""


Status: TypeAlias = Literal[
    "complete",
    "upstream_error",
    "upstream_cut",
    "client_cut",
    "timeout",
    "refused",
    "unknown",
    "house_error",
    "hedge_lost",
]
"""How an attempt or a request ended; ``unknown`` stands for what a crash left open, ``hedge_lost`` for an
attempt that was ended because another one beside it was quicker."""
NO_FAILURE: frozenset[Status] = frozenset({"complete", "hedge_lost", "client_cut"})
"""Ends of an attempt that are no failure of it."""


STALE = "stale_connection"
"""The code of an attempt whose kept connection had ended without a byte of a reply."""


class Attempt(Struct):
    """One try at one candidate, as the ledger will know it."""

    id: str
    number: int
    provider: str
    model: str
    credential: str | None
    started: float
    """Monotonic seconds."""
    wall: float
    status: Status = "unknown"
    upstream_status: int | None = None
    upstream_id: str | None = None
    """The id of what was generated (R-USE-002); the request's, where there is nothing."""
    upstream_request: str | None = None
    """The provider's own id of the request (D9)."""
    error_kind: str | None = None
    error_code: str | None = None
    label: str = "other"
    """The model's id if the catalogue knows it: a metric label (D12)."""
    finish: Finish | None = None
    """Why its answer ended, where the provider has said so."""
    may_cost: bool = False
    """Whether the provider may charge something, though nobody has told how much."""
    first_event_s: float | None = None
    duration_s: float | None = None
    answered_s: float | None = None
    """Until all of a whole reply was there; the rest of ``duration_s`` is ours."""
    usage: Usage | None = None
    """What the provider says, and nothing else."""
    estimated: Usage | None = None
    """The same with our estimate of what it did not say, for the ledger alone (D25)."""
    cost: Decimal | None = None
    cost_from: Literal["provider", "priced", "estimated", "none"] = "none"
    tokens_from: Literal["reported", "reconciled", "estimated", "none"] = "none"
    own: bool = False
    """Whether the credential is the tenant's own."""
    answered: str | None = None
    """Which model has answered, where the provider says so: what was asked for may be a name of several."""


class Origin(Struct, frozen=True):
    """Of an answer that is given again: which call made it, and who answered that one."""

    call_id: str
    provider: str = ""
    """Empty where nobody was asked."""
    model: str = ""
    attempts: int = 0
    fell_back: bool = False
    upstream_request: str | None = None


class Fetching(Struct, frozen=True):
    """What was fetched for a request in one go, from addresses that it names."""

    id: str
    wall: float
    """Unix seconds of its beginning."""
    duration_s: float
    items: int
    size: int
    """Bytes."""
    error: str | None = None


CacheSaid: TypeAlias = Literal["hit", "miss", "bypass"]
"""What the cache of answers has done about a call."""


class Outcome(Struct):
    """What became of a call; filled on its way, read by accounting, headers and metrics."""

    attempts: list[Attempt] = field(default_factory=list)
    standing: Attempt | None = None
    """Whose answer it is, where two were under way at once."""
    requested_model: str = ""
    plan: Plan | None = None
    """Who might answer, and who was left out; without candidates where nobody could."""
    passed: list[Skipped] = field(default_factory=list)
    """Candidates of the plan that were not asked when their turn came."""
    paused_s: float = 0.0
    """Between attempts."""
    stream: bool = False
    losses: tuple[Loss, ...] = ()
    adjusted: tuple[str, ...] = ()
    clamped: tuple[str, ...] = ()
    """What a budget has changed of the request; it stands in ``adjusted`` as well."""
    status: Status = "unknown"
    http_status: int = 0
    error_code: str | None = None
    label_model: str = "other"
    """The model's id if the catalogue knows it: a metric label (D12)."""
    estimated: bool = False
    """The answer is a labelled estimate of ours (D38)."""
    origin: Origin | None = None
    """Where the answer comes from, if it was made for another call and is given again."""
    cache: CacheSaid | None = None
    """None where the cache was not asked for."""
    age_s: int = 0
    """How old an answer from the cache is."""
    end_user: str = ""
    """Who is behind the caller, as it says itself: a label."""
    tags: str = ""
    """What the caller would find the call by in reports, sorted and joined by commas."""
    accounted: bool = False
    """The ledger has this call's row from elsewhere: of the recording whose answer it gets."""

    @property
    def tries(self) -> int:
        """The attempts that a caller's bound is about: not those that are repeated for free (U15)."""
        return sum(one.error_code != STALE for one in self.attempts)

    @property
    def served(self) -> Attempt | None:
        """The attempt that answered, or the last that tried."""
        return self.standing or (self.attempts[-1] if self.attempts else None)


class Hold(Protocol):
    """A place among the calls of a key that are under way."""

    def join(self) -> None:
        """Somebody else needs it, too: it is given back when the last one has left."""
        ...

    def leave(self) -> None:
        """Gives the place back."""
        ...


class Reservation(Protocol):
    """What was taken for a call until it is known what it came to."""

    def end(self, outcome: Outcome) -> None:
        """Settles it; a second time does nothing."""
        ...


class Shown(Struct):
    """What the log tells of a request's own words, where the operator has switched that on (R-OBS-008)."""

    url: str
    body: str = ""
    error: str = ""
    """The message of its failure, which may quote the request."""


class Call(Struct):
    """One request of a caller, from its first byte to its last.

    ``headers`` are the request's, lower case, last one wins; nothing of them reaches a
    provider but what D9 lists.
    """

    id: str
    request_id: str
    trace_id: str
    dialect: Family
    operation: Operation
    route: str
    """The path of the matched route, never the raw URL: a label, and what permissions hang on."""
    proof: Proof | None
    headers: dict[str, str]
    read_body: Callable[[], Awaitable[bytes]]
    received: float
    """Monotonic seconds."""
    wall: float
    """Unix seconds."""
    method: str = "POST"
    client: tuple[str, int] | None = None
    """The address and port that it came from, where the server knows it."""
    parent_id: str = ""
    """The caller's own span, 16 hex digits, where it has told of one."""
    sampled: bool = False
    """Whether its trace is recorded here."""
    told_sampled: bool = True
    """Whether providers are told that it is recorded: by us, or by whom the trace comes from."""
    tracestate: str = ""
    """What is passed on of the caller's ``tracestate``."""
    strict: bool = False
    named: str | None = None
    """The model, where the path names it."""
    streams: Streams = "if_said"
    query: dict[str, str] = field(default_factory=dict)
    home: str | None = None
    """The provider on whose router the call came (D12)."""
    flavour: str = ""
    """The caller's variant of its dialect, where the route tells it."""
    caller: Caller | None = None
    """Set once the proof has been checked."""
    allowed: Allowed | Denied | None = None
    """Set once the rate limits have judged it."""
    hold: Hold | None = None
    """Its place among the calls of its key, where those are limited."""
    reserved: Reservation | None = None
    """The tokens that were taken for it, where those are limited: settled once its account has ended."""
    ended: tuple[Callable[[Outcome], None], ...] = ()
    """Told what the call came to, once its account has ended."""
    read_s: float = 0.0
    """How long the body was waited for."""
    gone: bool = False
    """The caller has closed its connection."""
    cut: GatewayError | None = None
    """Why it is ended before its answer is whole, where that is neither its caller's will nor the server's end."""
    asked: dict[str, Raw] | None = None
    """The members of its request, where its trace is recorded: a few of their numbers are told there."""
    fetches: tuple[Fetching, ...] = ()
    shown: Shown | None = None
    """None, unless the log is to tell of what was said."""
    outcome: Outcome = field(default_factory=Outcome)


class Head(Struct, frozen=True):
    """The beginning of an answer: ``body`` is the whole of it, None where a stream follows."""

    status: int
    content_type: str
    body: bytes | None = None
    heartbeat: bytes | None = None
    """What may be sent into the stream while it is silent."""
    extra: dict[str, str] | None = None
    """Further headers of the answer."""


class Outlet(Struct):
    """Where the ordinary pieces of a stream may go out, past ``pieces`` and in their order."""

    push: Callable[[bytes], bool] | None = None
    """Sends a piece at once; False where it cannot, and then nothing is sent. Set by the surface."""
    at: float = 0.0
    """When a piece went out this way, in the event loop's seconds."""


class Answer(Struct, frozen=True):
    """An answer as it leaves the house: its head, and the pieces of a stream.

    Whoever gets ``pieces`` closes them: their end is the end of the call. Whoever passes them on
    changed gives no ``outlet``, or its pieces would pass by unchanged.
    """

    head: Head
    pieces: AsyncGenerator[bytes, None] | None = None
    outlet: Outlet | None = None
