"""A conversation: what was said is kept and sent again, files are added to it, hooks may change it (R-CFG-016).

The messages are the conversation's own list. Hooks see a copy before each call and may give another: that is
what is sent, while the list keeps what was said. A call that fails leaves the list as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

from dragoman.library.answer import Reply
from dragoman.library.engines import callers_folder, settings_now
from dragoman.library.failures import CallError
from dragoman.library.json_file import locked, read_json, write_json
from dragoman.library.messages import Message, messages_of
from dragoman.library.place import place_of
from dragoman.library.response import ask

Hook: TypeAlias = Callable[[list[dict[str, Any]]], Sequence[Message] | None]
"""Gets the messages that are about to be sent; what it returns is sent instead, None: what it got."""
LARGEST_FILE = 1024 * 1024
"""Bytes of a file that may be added."""


class Conversation:
    """Several turns with one model, for one caller.

    Args:
        model: for every turn; there is no default.
        caller: who calls; None: read off the stack, here and now.
        system: instructions before all else.
        hooks: called in their order before each turn.
        file: where the messages are kept, as JSON; what is there already goes on.
        options: of every turn, as ``get_response`` takes them.

    Raises:
        CallError: no caller can be found, or the file is no conversation.
    """

    def __init__(
        self,
        model: str | None = None,
        caller: str | None = None,
        *,
        system: str | None = None,
        hooks: Sequence[Hook] = (),
        file: Path | None = None,
        **options: Any,
    ) -> None:
        home = callers_folder(settings_now())
        folder: Path | None = options.pop("json_folder", None)
        frame = sys._getframe(1)  # noqa: SLF001  who calls is read off the stack
        place = place_of(caller, home, frame, folder)
        self.model = model
        self.caller = place.name
        self.hooks = list(hooks)
        self.messages: list[dict[str, Any]] = []
        self._options = {**options, "json_folder": place.folder}
        self._file = file
        if file is not None:
            self.messages = _read(file)
        if system is not None and not self.messages:
            self.messages.append({"role": "system", "content": system})

    def say(self, prompt: str, **options: Any) -> str:
        """One turn: what the assistant answers.

        Raises:
            CallError, GatewayError: there is no answer; the conversation is as it was.
        """
        return self.turn(messages_of(None, prompt), **options).text

    def turn(self, messages: Sequence[Message], **options: Any) -> Reply:
        """One turn with messages of any kind, such as results of tools; the whole answer.

        Raises:
            CallError, GatewayError: as ``say``.
        """
        said = [*self.messages, *(dict(each) for each in messages_of(messages, None))]
        sent: Sequence[Message] = deepcopy(said)
        for hook in self.hooks:
            changed = hook(list(deepcopy([dict(each) for each in sent])))
            sent = sent if changed is None else changed
        reply = ask(sent, self.model, self.caller, **{**self._options, **options})
        said.append({"role": "assistant", **reply.message})
        self.messages = said
        self._keep()
        return reply

    def add_file(self, path: Path | str, *, role: str = "user") -> None:
        """Adds a text file's content, under its name, to what is sent from now on.

        Raises:
            CallError: it cannot be read, is no UTF-8, or is too large.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CallError(
                f"{path} cannot be read: {error.strerror}.", code="file_error"
            ) from None
        if len(data) > LARGEST_FILE:
            raise CallError(f"{path} has more than {LARGEST_FILE} bytes.", code="file_error")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise CallError(f"{path} is no UTF-8 text.", code="file_error") from None
        self.messages.append({"role": role, "content": f"File {path.name}:\n\n{text}"})
        self._keep()

    def _keep(self) -> None:
        if self._file is not None:
            with locked(self._file.resolve().parent):
                write_json(self._file, {"caller": self.caller, "messages": self.messages})


def _read(file: Path) -> list[dict[str, Any]]:
    kept = read_json(file)
    if kept is None:
        return []
    messages = kept.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise CallError(
            f"{file} holds no conversation: messages are missing.", code="file_damaged"
        )
    return messages
