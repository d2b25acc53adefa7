"""``dragoman chat``: one question to a running gateway."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.output import USAGE, JsonOption, fail, say_json

if TYPE_CHECKING:
    from dragoman.cli.gateway import Gateway

SUMMARY = "Ask a running gateway one question."

_HELP = """Ask a running gateway one question and print the answer as it comes.

The model is never chosen for you: say provider/model, or an alias. A text of - is read from
standard input. Model, tokens and cost are told on standard error.

    dragoman chat "Tell me a story" --model openai/gpt-4o-mini

    git diff | dragoman chat - --system "Review this change." --model anthropic/claude-sonnet-4-5
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("chat", help=_HELP, short_help=SUMMARY)(chat)


def chat(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to ask; - reads it.")],
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="provider/model, or an alias.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions before the text.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Bound of the answer. [the model's own]")
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream/--no-stream", help="Print words as they come.")
    ] = True,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Asks, and prints the answer."""
    if not model:
        fail(
            "No model was given, and none is chosen for you: say --model provider/model. "
            "`dragoman models` lists them.",
            as_json=as_json,
            code=USAGE,
        )
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    body = _body(sys.stdin.read() if text == "-" else text, model, system, max_tokens)
    try:
        gateway = Gateway(base_url, key)
        if as_json:
            _report(gateway, body)
        elif stream:
            _print_stream(gateway, body)
        else:
            _print_whole(gateway, body)
    except GatewayRefusal as refusal:
        fail(refusal.message, as_json=as_json)
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        raise typer.Exit(130) from None


def _body(text: str, model: str, system: str | None, max_tokens: int | None) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, Any] = {"model": model, "messages": messages}
    if max_tokens is not None:
        body["max_completion_tokens"] = max_tokens
    return body


def _report(gateway: Gateway, body: dict[str, Any]) -> None:
    reply, headers = gateway.complete(body)
    choice = _choice(reply)
    say_json(
        {
            "text": _text(choice),
            "finish_reason": choice.get("finish_reason"),
            "model": reply.get("model"),
            "served_by": headers.get("x-dragoman-model"),
            "usage": reply.get("usage"),
            "cost_usd": headers.get("x-dragoman-cost-usd"),
            "request_id": headers.get("x-request-id"),
            "dropped": headers.get("x-dragoman-dropped"),
        }
    )


def _print_whole(gateway: Gateway, body: dict[str, Any]) -> None:
    reply, headers = gateway.complete(body)
    sys.stdout.write(_text(_choice(reply)) + "\n")
    _foot(headers, reply.get("usage"), _choice(reply).get("finish_reason"))


def _print_stream(gateway: Gateway, body: dict[str, Any]) -> None:
    usage: dict[str, Any] | None = None
    finish: str | None = None
    with gateway.stream(body) as (pieces, headers):
        try:
            for piece in pieces:
                sys.stdout.write(piece.text)
                sys.stdout.flush()
                usage = piece.usage or usage
                finish = piece.finish or finish
        finally:
            sys.stdout.write("\n")
            sys.stdout.flush()
    _foot(headers, usage, finish)


def _choice(reply: dict[str, Any]) -> dict[str, Any]:
    return next(iter(reply.get("choices") or ()), {})


def _text(choice: dict[str, Any]) -> str:
    from dragoman.cli.gateway import spoken

    return spoken(choice.get("message") or {})


def _foot(headers: dict[str, str], usage: dict[str, Any] | None, finish: str | None) -> None:
    """Who answered and what it took; missing numbers stay unsaid, never guessed."""
    told = [headers.get("x-dragoman-model", "")]
    if usage:
        told.append(f"{usage.get('prompt_tokens')} + {usage.get('completion_tokens')} tokens")
    cost = headers.get("x-dragoman-cost-usd") or (usage or {}).get("cost")
    if cost is not None:
        told.append(f"{cost} USD")
    if finish not in {None, "stop"}:
        told.append(f"ended by {finish}")
    if dropped := headers.get("x-dragoman-dropped"):
        told.append(f"dropped: {dropped}")
    sys.stderr.write(", ".join(part for part in told if part) + "\n")


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
