# ruff: noqa: INP001, T201  a program to read and copy; it prints
"""A caller with a model of its own: sorts a bank's message by what it is about.

    pip install dragoman
    OPENROUTER_API_KEY=sk-or-v1-… python examples/library/flow/flow_mbank.py "Card payment 12.50 at Bakery"

The first run makes ``flow_json/openrouter_skill_config.json`` beside this file, says so and ends: look at the
model there, and run it again. Each caller's model is its own business: another program's config says another.
"""

from __future__ import annotations

import sys

import dragoman

SYSTEM = "Answer with one word, the kind of this bank message: payment, transfer, fee or other."


def sort(text: str) -> str | None:
    """The kind of a message; None where there was no answer, which the log tells."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    return dragoman.get_response(messages, model=dragoman.get_ai_model(), caller="flow_mbank")


def main() -> int:
    """Sorts what the command line says."""
    try:
        print(sort(" ".join(sys.argv[1:]) or "Card payment 12.50 at Bakery"))
    except dragoman.CallError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
