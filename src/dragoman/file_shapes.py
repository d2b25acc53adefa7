"""The JSON files of data: their shapes, which are their JSON schemas too (R-STOR-009).

What is mirrored, read at a start, exported and imported is of one shape; what is wrong is told with its place.

``providers.json`` and ``models.json`` are AnyGPT's shapes, ``tiers.json`` is R-TIER-002's. ``keys.json`` is
ours; AnyGPT's, an object of users by their raw keys, is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dragoman.core.errors import invalid

Count = Annotated[int, Meta(ge=0)]
Number = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Score = Annotated[float, Meta(ge=0, le=100)]
Name = Annotated[str, Meta(min_length=1, max_length=512)]


class ResponseEntry(Struct, frozen=True, omit_defaults=True):
    """One answer that was measured."""

    timestamp: Number
    response_time: Number
    input_tokens: Count
    output_tokens: Count
    tokens_generated: Count
    provider_latency: Number | None = None


class ModelState(Struct, frozen=True):
    """How a model does at a provider."""

    id: Name
    token_generation_speed: Number | None
    response_times: list[ResponseEntry]
    errors: Count
    """Requests that failed."""
    requests: Count = 0
    error_rate: Share = 0.0
    """Share of the last requests that failed, smoothed."""
    avg_response_time: Number | None = None
    """Milliseconds of whole replies."""
    avg_provider_latency: Number | None = None
    """Milliseconds to the first content of streams."""
    avg_token_speed: Number | None = None
    disabled: bool = False
    consecutive_errors: Count | UnsetType = UNSET
    rate_limit_rps: Number | UnsetType | None = UNSET
    rate_limit_requests: Number | UnsetType | None = UNSET
    rate_limit_window_ms: Number | UnsetType | None = UNSET


class ProviderFile(Struct, frozen=True):
    """One provider; ``apiKey`` is ``${NAME}`` in what we write, and never kept of what we read."""

    id: Name
    apiKey: str | None  # noqa: N815  the file's own spelling
    provider_url: str
    models: dict[str, ModelState]
    provider_urls: list[str] = []
    streamingCompatible: bool = False  # noqa: N815
    disabled: bool = False
    dialect: str = ""
    models_listed: bool = False
    """Whether the models of ``models.json`` are what it lists itself."""
    avg_response_time: Number | None = None
    avg_provider_latency: Number | None = None
    errors: Count = 0
    requests: Count = 0
    error_rate: Share = 0.0
    token_generation_speed: Number | None = None
    provider_score: Score | None = None

    @property
    def holds_key(self) -> bool:
        """Whether ``apiKey`` is a key itself, and not where one is."""
        said = self.apiKey
        return bool(said) and said != IN_CONFIGURATION and not str(said).startswith("${")


IN_CONFIGURATION = "dragoman.toml"
"""What ``apiKey`` says of a key that stands there."""


class Model(Struct, frozen=True):
    """One model of ``models.json`` (R-CAT-001)."""

    id: Name
    object: str
    created: int
    owned_by: str
    providers: Count
    throughput: Number
    capabilities: list[str] = []
    active_providers: Count | None = None
    known_providers: Count | UnsetType | None = UNSET
    cooling_down_providers: Count | None = None
    pricing: dict[str, Any] | None = None


class ModelsFile(Struct, frozen=True):
    """``models.json``."""

    object: str
    data: list[Model]


class Tier(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One tier; 0 or null: not limited."""

    rps: Count | None = None
    rpm: Count | None = None
    rpd: Count | None = None
    max_tokens: Count | None = None
    min_provider_score: Score | None = None
    max_provider_score: Score | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    concurrency: Count | None = None
    require_score: bool | None = None
    stored_ms: Count | None = None
    """Where the row mirrors a stored tier: when that was stored."""
    hides: dict[str, Any] | None = None
    """What the operator's own row of that name says meanwhile."""


class LegacyKey(Struct, frozen=True):
    """A user of AnyGPT's ``keys.json``, which stands under the raw key."""

    userId: Name  # noqa: N815  the file's own spelling
    role: str = "user"
    tier: str | None = None
    tokenUsage: Count = 0  # noqa: N815
    requestCount: Count = 0  # noqa: N815


class KeysFile(Struct, frozen=True, forbid_unknown_fields=True):
    """``keys.json`` as ``dragoman export`` writes it."""

    object: str
    data: list[dict[str, Any]]
    """Members as the database has them; ``digest`` and ``pepper_version`` where they were asked for."""
    peppers: dict[str, str] = {}
    """What tells the pepper of each version from another database's, and does not tell the pepper."""
    format: int = 1
    tenants: list[dict[str, Any]] = []
    projects: list[dict[str, Any]] = []


KEYS_OBJECT = "dragoman.keys"

SCHEMAS: dict[str, Any] = {
    "providers.schema.json": list[ProviderFile],
    "models.schema.json": ModelsFile,
    "tiers.schema.json": dict[str, Tier],
    "keys.schema.json": KeysFile,
}

T = TypeVar("T")


def schema_of(name: str) -> bytes:
    """The JSON schema of a file."""
    schema = msgspec.json.encode(msgspec.json.schema(SCHEMAS[name]))
    return msgspec.json.format(schema, indent=2) + b"\n"


def read_shape(data: bytes, shape: type[T], where: str) -> T:
    """The file's content.

    Raises:
        CallerError: it is no JSON, or a member is missing, unknown or of the wrong type; no value is told.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise invalid(f"{where}: {_placed(data, shape, str(error))}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(f"{where}: {error}.") from None


_PLACE = re.compile(r"(?s)(?P<what>.*) - at `\$(?P<place>.*)`")
_STEP = re.compile(r"\[\.\.\.\]|\[\d+\]|\.[^.\[]+")
_LONGEST_MEMBER = 100


def _placed(data: bytes, shape: Any, message: str) -> str:
    """The failure, whose place has the names of members where msgspec says ``[...]``."""
    found = _PLACE.fullmatch(message)
    if found is None or "[...]" not in message:
        return message
    document = msgspec.json.decode(data)

    def fails() -> bool:
        try:
            msgspec.convert(document, shape)
        except msgspec.ValidationError as error:
            return str(error) == message
        return False

    if not fails():
        return message
    node, place = document, "$"
    for step in _STEP.findall(found["place"]):
        if step == "[...]":
            name = _culprit(node, fails)
            node, place = node[name], f"{place}[{name[:_LONGEST_MEMBER]!r}]"
        else:
            node = node[step[1:] if step[0] == "." else int(step[1:-1])] if node else node
            place += step
    return f"{found['what']} - at `{place}`"


def _culprit(members: dict[str, Any], fails: Callable[[], bool]) -> str:
    """Which member it is for whose sake the document fails, found by halves; it is as it was afterwards."""
    whole, names = dict(members), list(members)
    while len(names) > 1:
        half = names[: len(names) // 2]
        members.clear()
        members.update((name, whole[name]) for name in half)
        names = half if fails() else names[len(half) :]
    members.clear()
    members.update(whole)
    return names[0]
