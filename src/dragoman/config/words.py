"""What a setting's text becomes before its type is asked: lists apart by commas, words in lower case."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def _comma_list(value: object) -> object:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_comma_list)]
Protocols = Annotated[list[Literal["http", "https"]], NoDecode, BeforeValidator(_comma_list)]


def mode_word(value: object) -> object:
    """The mode's own word for what people also call it."""
    if isinstance(value, str):
        return {"production": "prod"}.get(value.lower(), value.lower())
    return value


def in_lower_case(value: object) -> object:
    """Words that may be written in capitals."""
    return value.lower() if isinstance(value, str) else value
