"""The items of a Responses request and reply, as JSON: told apart, numbered, put in a row.

An item keeps its own bytes; only what has to be known of it is read (D2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.envelope import is_sealed
from dragoman.core.errors import invalid
from dragoman.core.loss import Loss

LONGEST_ID = 512
"""Characters of an id; those of some providers have some hundreds."""


class Item(Struct, frozen=True):
    """One item: what it is, and its bytes."""

    raw: bytes
    type: str
    id: str | None = None

    @property
    def is_reference(self) -> bool:
        """Whether it stands for an item that is kept somewhere."""
        return self.type == _REFERENCE


class _Head(Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None
    approval_request_id: Any = None
    container_id: Any = None
    environment: Any = None

    def kind(self) -> str:
        """The type; a message may leave it out, and so may a reference."""
        if self.type is not None:
            return self.type
        return _MESSAGE if self.role is not None or self.id is None else _REFERENCE

    def items(self) -> tuple[str, ...]:
        """Ids of items that a provider may have kept, under which it would look for them."""
        return _texts(self.id, self.approval_request_id)

    def containers(self) -> tuple[str, ...]:
        """Ids of the containers that it was made in."""
        return _texts(self.container_id, _inside(self.environment))

    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.items() + self.containers()


class Names(Struct, frozen=True):
    """Ids under which a provider keeps something."""

    items: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    conversation: str = ""

    def split(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those that go with their response, and those that outlive it, as all in a conversation do."""
        if is_id(self.conversation):
            return (), _ids(self.conversation, *self.containers, *self.items)
        return _ids(*self.items), _ids(*self.containers)


def joined(several: Iterable[Names]) -> Names:
    """The ids of one response that were told one after the other."""
    found = list(several)
    return Names(
        items=tuple(name for names in found for name in names.items),
        containers=tuple(name for names in found for name in names.containers),
        conversation=next((names.conversation for names in found if names.conversation), ""),
    )


def _texts(*values: Any) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str) and value)


def _ids(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(is_id, names)))


class Referred(Struct, frozen=True):
    """What the items of an input say of items that somebody may have kept."""

    stands_for_others: bool = False
    """Whether items only stand for others, or cannot be told from such."""
    names: tuple[str, ...] = ()
    """The ids that whole items carry."""


class _Tool(Struct):
    container: Any = None
    environment: Any = None

    def names(self) -> tuple[str, ...]:
        return _texts(self.container, _inside(self.environment))


def _inside(environment: Any) -> Any:
    """The container in which a shell works, of the shape that OpenAI's shell has for it."""
    return environment.get("container_id") if isinstance(environment, Mapping) else None


class _Put(Struct):
    output: list[_Head] = []
    data: list[_Head] = []
    conversation: Any = None


class _State(Struct):
    encrypted_content: str | None = None


class _Output(Struct):
    output: list[Raw] = []


_REFERENCE = "item_reference"
_MESSAGE = "message"
_REASONING = "reasoning"
_HEAD = msgspec.json.Decoder(_Head)
_STATE = msgspec.json.Decoder(_State)
_HEADS = msgspec.json.Decoder(str | list[_Head] | None)
_INPUT = msgspec.json.Decoder(str | list[Raw] | None)
_TEXT = msgspec.json.Decoder(str)
_LIST = msgspec.json.Decoder(list[Raw])
_OUTPUT = msgspec.json.Decoder(_Output)
_PUT = msgspec.json.Decoder(_Put)
_TOOL = msgspec.json.Decoder(_Tool)
_ANY = msgspec.json.Decoder()
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
_PREFIX = {
    _MESSAGE: "msg",
    _REASONING: "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


def is_id(text: str) -> bool:
    """Whether the text may be an id of anything that is kept: visible ASCII, and not too long."""
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def read_input(value: Raw | bytes | None) -> tuple[Item, ...]:
    """The items of a request's ``input``; a text is one message of the user.

    Raises:
        CallerError: it is neither text nor a list of objects.
    """
    if value is None:
        return ()
    try:
        found = _INPUT.decode(value)
        if found is None:
            return ()
        if isinstance(found, str):
            return (_said(found),)
        return tuple(_item(bytes(raw)) for raw in found)
    except msgspec.ValidationError as error:
        raise invalid(
            f"input must be a text or a list of items: {error}.", "input", "invalid_field_type"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid("input is not valid JSON.", "input") from None


def referred(value: Raw | bytes | None) -> Referred:
    """What items of a request's ``input`` stand for, or are called."""
    if value is None:
        return Referred()
    try:
        found = _HEADS.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Referred(stands_for_others=True)
    if not isinstance(found, list):
        return Referred()
    whole = [head for head in found if head.kind() != _REFERENCE]
    names = [name for head in whole for name in head.names()]
    return Referred(len(whole) < len(found), tuple(names))


def containers(tools: Raw | bytes | None) -> tuple[str, ...]:
    """The containers that a request's ``tools`` are to work in, by their ids."""
    names: list[str] = []
    for tool in _tools(tools):
        # One that cannot be read hides none of the others.
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            names += _TOOL.decode(tool).names()
    return tuple(names)


def _tools(tools: Raw | bytes | None) -> list[Raw]:
    if tools is None:
        return []
    try:
        return _LIST.decode(tools)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # the provider says what is wrong with it


def conversation_of(value: Raw | bytes | None) -> str | None:
    """The id of the conversation that a member names; empty where it names none that has one."""
    if value is None:
        return None
    try:
        found = _ANY.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return None if found is None else _id_of(found)


def _id_of(value: Any) -> str:
    name = value.get("id") if isinstance(value, Mapping) else value
    return name if isinstance(name, str) else ""


def names_of(item: bytes) -> Names:
    """The ids of one item; of what is no item there are none."""
    try:
        return _names([_HEAD.decode(item)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Names()


def read_names(reply: bytes) -> Names:
    """The ids under which its provider keeps something: in a response, or in a list of its items.

    Raises:
        msgspec.DecodeError: the output is no list of objects.
    """
    found = _PUT.decode(reply)
    return _names([*found.output, *found.data], _id_of(found.conversation))


def _names(heads: Sequence[_Head], conversation: str = "") -> Names:
    return Names(
        items=tuple(name for head in heads for name in head.items()),
        containers=tuple(name for head in heads for name in head.containers()),
        conversation=conversation,
    )


def read_items(listed: bytes) -> tuple[Item, ...]:
    """The items of a JSON array that was read before."""
    return tuple(_item(bytes(raw)) for raw in _LIST.decode(listed))


def read_output(reply: bytes) -> tuple[Item, ...]:
    """The items that a response has put out."""
    return tuple(_item(bytes(raw)) for raw in _OUTPUT.decode(reply).output)


def write_items(items: Iterable[Item]) -> bytes:
    """The items as a JSON array."""
    return b"[" + b",".join(item.raw for item in items) + b"]"


def settled(items: Sequence[Item], stem: str) -> tuple[Item, ...]:
    """The items as they are listed: messages in their full form, and each with an id.

    Args:
        items: references among them have been resolved.
        stem: what makes the ids of this response unlike those of all others.
    """
    # No hexadecimal digit stands before the number: ids of a reply's own items look different.
    return tuple(_settled(item, f"{stem}i{place}") for place, item in enumerate(items))


def _settled(item: Item, stem: str) -> Item:
    if item.id is not None and item.type != _MESSAGE:
        return item
    members = _MEMBERS.decode(item.raw)
    name = item.id
    if name is None:
        members.pop("id", None)
        name = f"{_PREFIX.get(item.type, 'item')}_{stem}"
        members = {"id": _raw(name), **members}
    if item.type == _MESSAGE:
        members["type"] = _raw(_MESSAGE)
        members.setdefault("status", _raw("completed"))
        text = _content(members)
        if text is not None:
            by_model = _HEAD.decode(item.raw).role == "assistant"
            members["content"] = _raw([_part(text, by_model=by_model)])
    return Item(_ENCODER.encode(members), item.type, name)


def _content(members: dict[str, Raw]) -> str | None:
    """The content of a message that says it as a text."""
    content = members.get("content")
    if content is None or not bytes(content).startswith(b'"'):
        return None
    return _TEXT.decode(content)


def _said(text: str) -> Item:
    message = {"type": _MESSAGE, "role": "user", "content": [_part(text, by_model=False)]}
    return Item(_ENCODER.encode(message), _MESSAGE)


def _part(text: str, *, by_model: bool) -> dict[str, object]:
    if by_model:
        return {"type": "output_text", "text": text, "annotations": []}
    return {"type": "input_text", "text": text}


def _raw(value: object) -> Raw:
    return Raw(_ENCODER.encode(value))


def _item(raw: bytes) -> Item:
    head = _HEAD.decode(raw)
    return Item(raw, head.kind(), head.id)


def _is_issued(item: Item) -> bool:
    """Whether reasoning has state that a provider of Responses may have issued."""
    state = _STATE.decode(item.raw).encrypted_content
    return state is not None and not is_sealed(state)


def for_their_provider(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Loss, ...]]:
    """Items of other providers, for one that looks up the ids that it is told (P104).

    It knows none of these ids, and refuses reasoning that it did not issue.
    """
    found: list[Item] = []
    losses: list[Loss] = []
    for place, item in enumerate(items):
        if item.type == _REASONING and not _is_issued(item):
            losses.append(Loss(f"input[{place}]", "reasoning that another provider issued"))
        elif item.id is None:
            found.append(item)
        else:
            members = _MEMBERS.decode(item.raw)
            del members["id"]
            found.append(Item(_ENCODER.encode(members), item.type))
    return tuple(found), tuple(losses)
