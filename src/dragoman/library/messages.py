"""What is asked: messages as their caller wrote them, or a prompt in a message of its own (R-CFG-002, 018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from dragoman.library.failures import BOTH, EMPTY, CallError

Message: TypeAlias = Mapping[str, Any]


def messages_of(messages: Sequence[Message] | None, prompt: str | None) -> list[Message]:
    """The messages of a call; they are never changed.

    Raises:
        CallError: there are none, both were said, or one is no message.
    """
    if messages is not None and prompt is not None:
        raise CallError(BOTH, code="invalid_messages")
    if prompt is not None:
        if not isinstance(prompt, str):
            raise CallError(
                f"prompt must be a string, not {type(prompt).__name__}.", code="invalid_messages"
            )
        if not prompt.strip():
            raise CallError(EMPTY, code="invalid_messages")
        return [{"role": "user", "content": prompt}]
    if isinstance(messages, str | bytes | Mapping):
        raise CallError(
            f"messages must be a list of messages, not {type(messages).__name__}; "
            "a text goes in prompt.",
            code="invalid_messages",
        )
    if not messages:
        raise CallError(EMPTY, code="invalid_messages")
    each: Any
    for number, each in enumerate(messages):
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            raise CallError(
                f'messages[{number}] must be an object with a role, such as {{"role": "user", '
                '"content": "…"}.',
                code="invalid_messages",
            )
    return list(messages)
