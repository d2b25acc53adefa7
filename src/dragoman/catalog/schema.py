"""The shape of a provider's file, of an operator's row, and how strictly both are read.

Built-in providers (``providers/*.toml``) and ``[[providers]]`` of ``dragoman.toml`` (D37) are held
to the same members. An unknown member is refused with the nearest known one, for a typing
error that is ignored is a provider that silently does something else.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from dragoman.catalog.lookups import Credits, Lookup, Report
from dragoman.core.errors import GatewayError
from dragoman.core.provider import Auth, Credential, Family, Operation, Quirks, Words

SERVED: frozenset[Family] = frozenset(
    {"chat", "responses", "anthropic", "gemini", "ollama", "generate", "completions"}
)
"""Families whose dialect is there."""


class CatalogError(GatewayError):
    """A provider is wrongly described; the message says where and what to do, never a value that may be a key."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid_request", message, code="configuration_error", status=500)


class Env(Struct, frozen=True, forbid_unknown_fields=True):
    """Environment variables; of several the first that is set counts."""

    key: tuple[str, ...] = ()
    base_url: tuple[str, ...] = ()


class KeyFormat(Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider's keys look like (R-ADD-008); a key that does not is warned about, never refused (D15)."""

    prefix: str = ""
    min_length: int = 10
    check_path: str = ""
    """What is asked for to learn whether a key is good, where anybody gets the list of models."""


class Listing(Struct, frozen=True, forbid_unknown_fields=True):
    """How the provider's list of models is asked for, beside its path."""

    query: str = ""


class Surface(Struct, frozen=True, forbid_unknown_fields=True):
    """Another family that a provider speaks natively, at the same base and with the same key."""

    paths: dict[Operation, str]
    auth: Auth | None = None
    """None: the key is shown as in the main family."""
    headers: dict[str, str] = {}
    quirks: Quirks = Quirks()


class Definition(Struct, frozen=True, forbid_unknown_fields=True):
    """One provider's file."""

    name: str
    family: Family
    paths: dict[Operation, str]
    base_url: str = ""
    """Empty: it must be said by whoever uses the file."""
    env: Env = Env()
    key_format: KeyFormat = KeyFormat()
    auth: Auth = Auth()
    headers: dict[str, str] = {}
    quirks: Quirks = Quirks()
    listing: Listing = Listing()
    key_check: str = ""
    """A path that answers to good keys alone; empty: the list of models does."""
    accounts: str = ""
    """The login (``catalog/logins``) whose accounts are its keys; empty: it has none."""
    words: Words | None = None
    estimate: dict[Literal["input", "output"], Decimal] = {}
    """What a million tokens are taken to cost of a model whose price nobody has said, in USD."""
    also: dict[Family, Surface] = {}
    on_disconnect: Literal["close", "drain"] = "close"
    prices: str = ""
    """The provider's name in genai-prices; empty: no bundled facts."""
    listed_by: str = ""
    """The provider that lists the same models; empty: it lists its own."""
    id_marker: str = ""
    """A piece of text that the provider's own ids hold and other spellings of them do not."""
    resolve: Literal["claude-family"] | None = None
    """What is done with a name that the provider does not have (``families.py``)."""
    lookup: Lookup | None = None
    credits: Credits | None = None
    report: Report | None = None
    sold_elsewhere: tuple[str, ...] = ()
    """Beginnings of ids that genai-prices has under the provider's name, and its address does not serve."""
    tiers_alike: tuple[str, ...] = ()
    """Service tiers that cost what the usual one does."""
    places: dict[str, Decimal] = {}
    """By which factor tokens are dearer where an answer has to be made in a place, such as ``us``."""


class KeyRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One key of an operator's pool."""

    key: str
    weight: int = 1

    def __repr__(self) -> str:
        return f"KeyRow(weight={self.weight})"


class OperatorRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[providers]]`` table: a built-in provider adjusted, or one of the operator's own.

    What is None is left as the built-in file has it, or as ``openai-compatible.toml`` has it.
    """

    name: str
    dialect: Family | None = None
    flavour: str | None = None
    base_url: str | None = None
    credentials: tuple[KeyRow, ...] = ()
    models: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    paths: dict[Operation, str] | None = None
    also: dict[Family, Surface] | None = None
    auth: Auth | None = None
    rename: dict[str, str] | None = None
    drop: tuple[str, ...] | None = None
    steps: tuple[str, ...] | None = None
    usage_in_stream: Literal["asked", "always", "unsupported"] | None = None
    on_disconnect: Literal["close", "drain"] | None = None
    resolve: Literal["claude-family"] | None = None
    lookup: Lookup | None = None
    credits: Credits | None = None
    report: Report | None = None


class Keyed(Struct, frozen=True):
    """A credential and its share of the traffic."""

    credential: Credential
    weight: int = 1


T = TypeVar("T", bound=Struct)


def read_strictly(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """The table as a struct.

    Raises:
        CatalogError: a member is unknown (the nearest name is told), missing or of the wrong type.
    """
    _known(kind, table, where)
    try:
        return msgspec.convert(dict(table), kind)
    except msgspec.ValidationError as error:
        raise CatalogError(f"{where}: {error}.") from None


def operator_row(table: Mapping[str, Any], where: str = "[[providers]]") -> OperatorRow:
    """An operator's row, read strictly; members that are None count as not said.

    Raises:
        CatalogError: as ``read_strictly``.
    """
    said = {name: value for name, value in table.items() if value is not None}
    return read_strictly(OperatorRow, said, where)


def check_row(row: OperatorRow, where: str = "[[providers]]") -> None:
    """Refuses a name that would split a model string, and a share below one.

    Raises:
        CatalogError: the row has one.
    """
    if not row.name or any(sign in row.name for sign in "/: \t\r\n"):
        raise CatalogError(
            f"{where}: the name {row.name!r} must not be empty or hold a slash, colon or blank."
        )
    if any(key.weight < 1 for key in row.credentials):
        raise CatalogError(f"{where} {row.name}: a credential's weight must be 1 or more.")


_NESTED: dict[str, type[Struct]] = {
    "env": Env,
    "key_format": KeyFormat,
    "auth": Auth,
    "quirks": Quirks,
    "listing": Listing,
    "words": Words,
    "lookup": Lookup,
    "credits": Credits,
    "report": Report,
}


def _known(kind: type[Struct], table: Mapping[str, Any], where: str) -> None:
    names = kind.__struct_fields__
    for name, value in table.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
            raise CatalogError(f"{where}: unknown member {name!r}; {hint}")
        if name in _NESTED and isinstance(value, Mapping):
            _known(_NESTED[name], value, f"{where} {name}")
