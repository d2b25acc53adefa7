# ruff: noqa: INP001, T201  a program to read and copy; it prints
"""A skill that keeps the context of a chat: turns, a file, and a hook that looks over what is sent.

    export OPENROUTER_API_KEY=sk-or-v1-…
    python …/skills_context/live_chat_context_skill.py notes.txt "What is in it?" "And why?"

Its name as a caller is ``live_chat_context``: ``dragoman caller-usage live_chat_context`` tells what it has used.
"""

from __future__ import annotations

import sys
from typing import Any

import dragoman

MOST_TURNS = 20


def newest(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A hook: the instructions, and the newest of what was said."""
    head = [each for each in messages if each["role"] == "system"]
    rest = [each for each in messages if each["role"] != "system"]
    return [*head, *rest[-MOST_TURNS:]]


def main() -> int:
    """Adds a file to the chat and asks one question after the other."""
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        chat = dragoman.Conversation(
            dragoman.get_ai_model() or "openai/gpt-4o-mini",
            system="Answer from the files that you are given.",
            hooks=[newest],
        )
        chat.add_file(sys.argv[1])
        for question in sys.argv[2:]:
            print(chat.say(question))
    except dragoman.CallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
