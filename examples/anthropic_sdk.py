# ruff: noqa: INP001, T201  a program to read and copy; it prints
"""The official Anthropic SDK through Dragoman, to whichever provider the model names.

    pip install anthropic
    python examples/anthropic_sdk.py

``DRAGOMAN_BASE_URL``, ``DRAGOMAN_API_KEY`` and ``DRAGOMAN_MODEL`` choose where, with which key, and what.
"""

from __future__ import annotations

import os

from anthropic import Anthropic, APIStatusError

URL = os.environ.get("DRAGOMAN_BASE_URL", "http://127.0.0.1:8000")
MODEL = os.environ.get("DRAGOMAN_MODEL", "openai/gpt-4o-mini")


def main() -> None:
    """An answer, a stream, and what an error looks like."""
    client = Anthropic(base_url=URL, api_key=os.environ.get("DRAGOMAN_API_KEY", "drg_test"))

    message = client.messages.create(
        model=MODEL, max_tokens=200, messages=[{"role": "user", "content": "Hello!"}]
    )
    print("".join(block.text for block in message.content if block.type == "text"))
    print(f"{message.usage.input_tokens} + {message.usage.output_tokens} tokens")

    with client.messages.stream(
        model=MODEL, max_tokens=200, messages=[{"role": "user", "content": "Tell me a story"}]
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
    print()

    try:
        client.messages.create(
            model="nobody/knows-this",
            max_tokens=10,
            messages=[{"role": "user", "content": "Hello!"}],
        )
    except APIStatusError as error:
        print(error.status_code, error.body["error"]["message"])


if __name__ == "__main__":
    main()
