"""What a request of Responses says about what is kept: read before anybody is asked to answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid
from dragoman.keeping.items import Referred, conversation_of, referred


class Wish(Struct, frozen=True):
    """The members that concern keeping; None: not said."""

    store: bool | None = None
    previous: str | None = None
    conversation: str | None = None
    """Its id; empty where it has none that can be read."""
    background: bool = False
    input: Referred = Referred()


_FLAG = msgspec.json.Decoder(bool | None)
_ID = msgspec.json.Decoder(str | None)


def read_wish(members: Mapping[str, Raw]) -> Wish:
    """The wish in a request's members.

    Raises:
        CallerError: a member is of the wrong type, or two contradict each other.
    """
    previous: str | None = _read(_ID, members, "previous_response_id")
    conversation = conversation_of(members.get("conversation"))
    if previous is not None and conversation is not None:
        raise CallerError(
            "invalid_request",
            "previous_response_id and conversation exclude each other; say one of them.",
            code="mutually_exclusive_parameters",
            param="previous_response_id",
        )
    return Wish(
        store=_read(_FLAG, members, "store"),
        previous=previous,
        conversation=conversation,
        background=_read(_FLAG, members, "background") is True,
        input=referred(members.get("input")),
    )


def _read(decoder: msgspec.json.Decoder[Any], members: Mapping[str, Raw], name: str) -> Any:
    value = members.get(name)
    if value is None:
        return None
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise invalid(f"{name}: {error}.", name, "invalid_field_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(f"{name} is not valid JSON.", name) from None
