"""Bytes in the place of pictures' addresses within one dialect, where the operator wants it (R-IMG-001).

The request stays as it came (D2): it is opened only where an address may stand, and only the picture
itself and what it stands in are written anew, every other value byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec import Raw

from dragoman.attempt.ports import Fetched
from dragoman.core.provider import Family

Members: TypeAlias = dict[str, Raw]
Picture: TypeAlias = Callable[[str, str], Fetched | None]
"""Takes an address and its place; the bytes to put there, None to leave it."""

_HOLDS: dict[Family, str] = {"chat": "messages", "anthropic": "messages", "responses": "input"}
"""The member of a request in which pictures stand."""
_NESTED = ("content", "output")
_SIGN = b'"http'
"""What no address does without; a request that lacks it is not opened."""

_LIST = msgspec.json.Decoder(list[Raw])
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


def may_hold_pictures(family: Family, members: Members) -> bool:
    """Whether it is worth looking."""
    held = members.get(_HOLDS.get(family, ""))
    return held is not None and _SIGN in memoryview(held).tobytes()


def pictures(family: Family, members: Members, picture: Picture) -> Members:
    """The members of the request with the pictures that ``picture`` gives; what is malformed stays."""
    name = _HOLDS.get(family)
    if name is None or name not in members:
        return members
    new = _walked(members[name], name, picture)
    return members if new is members[name] else {**members, name: new}


def _walked(raw: Raw, at: str, picture: Picture) -> Raw:
    data = bytes(raw)
    if _SIGN not in data:
        return raw
    try:
        if data.startswith(b"["):
            items = _LIST.decode(data)
            new = [_walked(item, f"{at}[{place}]", picture) for place, item in enumerate(items)]
            same = all(a is b for a, b in zip(items, new, strict=True))
            return raw if same else Raw(_encode(new))
        if data.startswith(b"{"):
            return _object(raw, _OBJECT.decode(data), at, picture)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # whoever serves the request will say what is wrong with it
    return raw


def _object(raw: Raw, part: Members, at: str, picture: Picture) -> Raw:
    kind = _text(part.get("type"))
    changed: Members | None = None
    if kind in {"image_url", "input_image"}:
        changed = _data_url(part, at, picture)
    elif kind == "image":
        changed = _source(part, at, picture)
    else:
        for name in _NESTED:
            if name in part:
                new = _walked(part[name], f"{at}.{name}", picture)
                if new is not part[name]:
                    changed = {**(changed or part), name: new}
    return raw if changed is None else Raw(_encode(changed))


def _data_url(part: Members, at: str, picture: Picture) -> Members | None:
    """OpenAI's picture: ``image_url`` is its address, or an object that has it."""
    held = part.get("image_url")
    if held is None:
        return None
    address = _text(held)
    inner = None if address is not None else _OBJECT.decode(held)
    url = address if inner is None else _text(inner.get("url"))
    found = None if url is None or not _is_address(url) else picture(url, at)
    if found is None:
        return None
    said = Raw(_encode(f"data:{found.mime};base64,{found.data}"))
    return {**part, "image_url": said if inner is None else Raw(_encode({**inner, "url": said}))}


def _source(part: Members, at: str, picture: Picture) -> Members | None:
    """Anthropic's picture."""
    held = part.get("source")
    source = None if held is None else _OBJECT.decode(held)
    url = None if source is None else _text(source.get("url"))
    found = None if url is None or not _is_address(url) else picture(url, at)
    if found is None:
        return None
    said = {"type": "base64", "media_type": found.mime, "data": found.data}
    return {**part, "source": Raw(_encode(said))}


def _text(raw: Raw | None) -> str | None:
    if raw is None or memoryview(raw)[0] != ord('"'):
        return None
    return _TEXT.decode(raw)


def _is_address(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))
