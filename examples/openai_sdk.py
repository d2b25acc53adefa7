# ruff: noqa: INP001, T201  a program to read and copy; it prints
"""The official OpenAI SDK through Dragoman: an answer, a stream, a tool.

    pip install openai
    python examples/openai_sdk.py

``DRAGOMAN_BASE_URL``, ``DRAGOMAN_API_KEY`` and ``DRAGOMAN_MODEL`` choose where, with which key, and what. The
stub that answers without any provider's key calls the tool as well, for the question names it.
"""

from __future__ import annotations

import json
import os

from openai import OpenAI

URL = os.environ.get("DRAGOMAN_BASE_URL", "http://127.0.0.1:8000")
MODEL = os.environ.get("DRAGOMAN_MODEL", "openai/gpt-4o-mini")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}


def get_weather(location: str) -> str:
    """What a real program would look up."""
    return f"21 °C and sunny in {location}"


def main() -> None:
    """Asks three times."""
    client = OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("DRAGOMAN_API_KEY", "drg_test"))

    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello!"}]
    )
    print(answer.choices[0].message.content)

    stream = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Tell me a story"}], stream=True
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()

    messages = [{"role": "user", "content": "What is the weather in Tokyo? Use get_weather."}]
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    calls = first.choices[0].message.tool_calls
    if not calls:
        print("No tool was called.")
        return
    messages.append(first.choices[0].message)
    for call in calls:
        result = get_weather(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    print(second.choices[0].message.content)


if __name__ == "__main__":
    main()
