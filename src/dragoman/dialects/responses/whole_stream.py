"""A whole response as the stream that says the same (P11).

For a provider that answered whole although a stream was asked for. The caller is of this
dialect too, or a reader of it follows; hence every item is kept as it was written.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects.members import NULL, Object
from dragoman.dialects.responses.error import malformed
from dragoman.dialects.responses.frames import frame
from dragoman.dialects.responses.response import open_reply
from dragoman.dialects.responses.wire import BAD_JSON

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_ANY = msgspec.json.Decoder()

_CALLS = {
    b'"function_call"': ("arguments", "response.function_call_arguments"),
    b'"custom_tool_call"': ("input", "response.custom_tool_call_input"),
}
_PARTS = {
    b'"output_text"': ("text", "response.output_text"),
    b'"refusal"': ("refusal", "response.refusal"),
    b'"reasoning_text"': ("text", "response.reasoning_text"),
}


def response_frames(body: bytes) -> bytes:
    """The frames of a whole reply.

    Raises:
        UpstreamError: the body is an error, or no response.
    """
    reply = open_reply(body)
    try:
        whole = _MEMBERS.decode(body.removeprefix(b"\xef\xbb\xbf"))
        return b"".join(_Frames().of(whole, reply.status or "completed"))
    except (*BAD_JSON, KeyError, TypeError, AttributeError):
        raise malformed() from None


class _Frames:
    """Numbers what it writes."""

    def __init__(self) -> None:
        self._sequence = 0

    def _one(self, kind: str, members: Object) -> bytes:
        written = frame(kind, self._sequence, members)
        self._sequence += 1
        return written

    def of(self, whole: dict[str, Raw], status: str) -> list[bytes]:
        """All of them."""
        start: Object = {
            **whole,
            "status": "in_progress",
            "output": [],
            "usage": None,
            "incomplete_details": None,
        }
        frames = [
            self._one("response.created", {"response": start}),
            self._one("response.in_progress", {"response": start}),
        ]
        for index, item in enumerate(_LIST.decode(whole["output"])):
            frames += self._item(dict(_MEMBERS.decode(item)), item, index)
        end = "response.incomplete" if status == "incomplete" else "response.completed"
        frames.append(self._one(end, {"response": whole}))
        return frames

    def _item(self, members: dict[str, Any], whole: Raw, index: int) -> list[bytes]:
        kind = bytes(members.get("type", NULL))
        opening = dict(members)
        inner: list[bytes] = []
        place: Object = {"output_index": index}
        if "id" in members:
            place["item_id"] = members["id"]
        added = self._sequence
        self._sequence += 1
        if kind in _CALLS and (name := _CALLS[kind][0]) in members:
            opening[name] = ""
            subject = _CALLS[kind][1]
            inner.append(self._one(f"{subject}.delta", {**place, "delta": members[name]}))
            inner.append(self._one(f"{subject}.done", {**place, name: members[name]}))
        if kind in {b'"message"', b'"reasoning"'}:
            for number, part in enumerate(_parts(members.get("summary"))):
                inner += self._summary(part, {**place, "summary_index": number})
            for number, part in enumerate(_parts(members.get("content"))):
                inner += self._part(part, {**place, "content_index": number})
            opening.update({name: [] for name in ("summary", "content") if name in members})
        if "status" in members:
            opening["status"] = "in_progress"
        first = frame(
            "response.output_item.added", added, {"output_index": index, "item": opening}
        )
        done = self._one("response.output_item.done", {"output_index": index, "item": whole})
        return [first, *inner, done]

    def _summary(self, part: Raw, place: Object) -> list[bytes]:
        text = _MEMBERS.decode(part).get("text", Raw(b'""'))
        subject = "response.reasoning_summary"
        empty = {"type": "summary_text", "text": ""}
        return [
            self._one(f"{subject}_part.added", {**place, "part": empty}),
            self._one(f"{subject}_text.delta", {**place, "delta": text}),
            self._one(f"{subject}_text.done", {**place, "text": text}),
            self._one(f"{subject}_part.done", {**place, "part": part}),
        ]

    def _part(self, part: Raw, place: Object) -> list[bytes]:
        members: Object = dict(_MEMBERS.decode(part))
        known = _PARTS.get(bytes(members.get("type", NULL)))
        if known is None:
            return []
        name, subject = known
        text = members.get(name, "")
        tokens = {"logprobs": members.get("logprobs", [])} if name == "text" else {}
        if subject != "response.output_text":
            tokens = {}
        empty: Object = {**members, name: ""}
        empty.update({name: [] for name in ("annotations", "logprobs") if name in members})
        frames = [
            self._one("response.content_part.added", {**place, "part": empty}),
            self._one(f"{subject}.delta", {**place, "delta": text, **tokens}),
        ]
        for number, note in enumerate(_parts(members.get("annotations"))):
            told = {**place, "annotation_index": number, "annotation": note}
            frames.append(self._one("response.output_text.annotation.added", told))
        frames.append(self._one(f"{subject}.done", {**place, name: text, **tokens}))
        frames.append(self._one("response.content_part.done", {**place, "part": part}))
        return frames


def _parts(value: Raw | None) -> list[Raw]:
    return [] if value is None or bytes(value) == b"null" else _LIST.decode(value)
