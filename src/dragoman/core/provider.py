"""What the house knows about a provider and a model, as plain data.

The catalogue fills these from files; routing chooses among them; attempt and the dialects
read them. A difference between providers of one dialect family is a member here, never an
``if`` on a provider's name (`design.md` §3).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from dragoman.core.capability import Capability
from dragoman.core.secret import Secret

Family: TypeAlias = Literal[
    "chat", "responses", "anthropic", "gemini", "ollama", "completions", "generate"
]
"""A wire family; within one, frames pass through as they are (D1).

``completions`` is OpenAI's legacy text completion, ``generate`` is Ollama's ``/api/generate``.
"""

Operation: TypeAlias = Literal["chat", "stream", "embeddings", "count_tokens", "models", "service"]
"""What is asked of a provider; ``stream`` names the path of a streamed chat where it is another."""

Rotation: TypeAlias = Literal["cache-first", "balanced", "performance"]
"""Stay with one account, take turns, or take any: the first keeps prompts in a provider's cache (R-CRED-011)."""


class Quirks(Struct, frozen=True):
    """How a provider's spelling of its family differs from the family's own.

    ``flavour`` names the reader's and writer's variant of the chat family (``openai``,
    ``groq``, ``openrouter``, ``mistral``, ``deepseek``, ``plain``). ``rename`` maps top-level
    request members, ``drop`` lists those that the provider refuses, ``steps`` names the
    tested request steps of ``dialects/chat/steps.py``.
    """

    flavour: str = "plain"
    rename: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    usage_in_stream: Literal["asked", "always", "unsupported"] = "asked"
    """Whether usage in a stream has to be asked for by ``stream_options`` (D2)."""


class Auth(Struct, frozen=True):
    """How a credential is shown to a provider: a header and what stands before the key in it."""

    header: str = "authorization"
    prefix: str = "Bearer "
    required: bool = True


class Words(Struct, frozen=True):
    """What is told of a provider's failures, word for word, where that is not told in our own words.

    ``unreachable`` holds ``{detail}``, ``refused`` holds ``{status}`` and ``{body}``.
    """

    no_credential: str
    unreachable: str
    refused: str
    not_renewed: str
    """Our credential was refused, and no new one is to be had."""
    no_key: str
    """It was renewed, and there is none all the same."""


class Provider(Struct, frozen=True):
    """One provider, ready to be called.

    ``paths`` holds the path for each operation it serves, appended to ``base_url``.
    """

    name: str
    family: Family
    base_url: str
    paths: dict[Operation, str]
    auth: Auth = Auth()
    quirks: Quirks = Quirks()
    headers: dict[str, str] = {}
    """Headers of its own, such as ``anthropic-version``."""
    on_disconnect: Literal["close", "drain"] = "close"
    stub: bool = False
    """Answered inside the process, without any network (D20)."""
    words: Words | None = None
    """Its failures in words of their own, and credentials that may have to be renewed; None: as all others'."""
    also: tuple[Provider, ...] = ()
    """The same provider in the other families that it speaks natively."""
    account: str = ""
    """As whom it is known to health where a tenant's own credentials are used; empty: by its name."""

    def speaking(self, family: Family) -> Provider:
        """This provider in a caller's own family where it speaks it, else in its main one."""
        if family == self.family:
            return self
        return next((other for other in self.also if other.family == family), self)


class Price(Struct, frozen=True):
    """USD per million tokens; None: no price known for that kind.

    ``source`` and ``effective_from`` (ISO date) are written into the ledger.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    per_request: Decimal | None = None
    per_search: Decimal | None = None
    """USD of one web search that the provider ran."""
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    per_image: Decimal | None = None
    """USD of one picture that was made."""
    per_audio_second: Decimal | None = None
    """USD of one second of sound that was listened to."""
    above: tuple[tuple[int, Price], ...] = ()
    """Prices that hold for the whole of a request with more input tokens than the number; rising."""
    tiers: dict[str, Price] | None = None
    """Prices by service tier, where another than the usual one has its own: of one that is not among them
    the price is unknown. None: nothing is said of tiers, and the price holds in each."""
    source: str = ""
    effective_from: str = ""
    estimate: bool = False
    """Nobody has said it of this model: what comes of it is told as an estimate (R-OB1-007)."""


class Renewal(Protocol):
    """Keeps a credential good whose secret changes: a token of OAuth."""

    def is_due(self) -> bool:
        """Whether ``fresh`` has to be awaited before the secret is shown."""
        ...

    async def fresh(self) -> None:
        """Sees to it that the secret is good for a while, once for all who wait.

        Raises:
            GatewayError: there is no good one to be had.
        """
        ...

    async def renewed(self, refused: str) -> None:
        """Sees to it that the secret is another than the one that was refused.

        Raises:
            GatewayError: as ``fresh``.
        """
        ...


class Credential(Struct, frozen=True, weakref=True):
    """One key of ours at a provider; ``id`` is safe to log.

    ``origin`` is the only place that the secret may be sent to (``https://api.example.com``).
    """

    id: str
    secret: Secret
    origin: str = ""
    renewal: Renewal | None = None
    """None: the secret stays as it is."""


ACCOUNT = ":"
"""Stands in the name of every account, and in that of no provider (``catalog/schema.py``)."""


class Candidate(Struct, frozen=True):
    """One way to serve a call: this model at this provider with this credential."""

    provider: Provider
    model: str
    """The provider's own id of the model."""
    credential: Credential | None = None
    capability: Capability = Capability()
    known: bool = False
    """Whether the catalogue knows the model (metric labels, auto-disable)."""
    place: tuple[str, str, str] = ("", "", "")
    """Under what its health is kept: provider or account, model, credential; made of the rest."""

    def __post_init__(self) -> None:
        """Kept with it, for one candidate serves many calls, and each asks for it thrice."""
        whose = self.provider.account or self.provider.name
        credential = self.credential.id if self.credential else ""
        force_setattr(self, "place", (whose, self.model, credential))

    @property
    def name(self) -> str:
        """``provider/model``, as it stands in headers and the ledger."""
        return f"{self.provider.name}/{self.model}"


Strategy: TypeAlias = Literal[
    "cost", "latency", "quality", "weighted", "round-robin", "least-busy", "sticky"
]
"""How one of several is chosen (R-ROUTE-002, D37)."""


class Skipped(Struct, frozen=True):
    """Who could have been asked and was not, and why, in plain words."""

    name: str
    reason: str


class Plan(Struct, frozen=True):
    """The ordered candidates of a call, and what the caller had asked for."""

    requested: str
    candidates: tuple[Candidate, ...]
    max_attempts: int | None = None
    """The caller's own bound; None: the house's."""
    strategy: Strategy | None = None
    """What put the candidates in their order; None: they stand as they were named."""
    skipped: tuple[Skipped, ...] = ()
    resting: tuple[str, ...] = ()
    """Candidates of a choice that stand behind the others because none of their keys is well."""
    hedge: bool | None = None
    """Whether the caller wants a second try beside a slow one; None: it says nothing of it."""
