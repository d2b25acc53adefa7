"""``dragoman call``: one call of a model from this process, as programs make it by the library."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json
from dragoman.cli.settings import settings_or_fail

SUMMARY = "Call a model once, without a server."

_HELP = """Call a model once, without a server: what a program gets from dragoman.get_response.

The model is never chosen for you. The key is the provider's own, from the environment or `dragoman set-key`;
with --gateway the call goes to a running gateway instead. A text of - is read from standard input. Usage is
counted for the caller `cli` unless --caller says another.

    dragoman call "Tell me a story" --model anthropic/claude-sonnet-4-5

    git diff | dragoman call - --system "Review this change." --model openai/gpt-5-mini --json
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("call", help=_HELP, short_help=SUMMARY)(call)


def _models(incomplete: str) -> list[str]:
    """Ids for the shell, once a provider's name is there."""
    from dragoman.assembly.registry import open_registry
    from dragoman.config.load import environment, load_settings

    registry = open_registry(load_settings({"mode": "local"}), environment())
    if "/" not in incomplete:
        names = [f"{name}/" for name in registry.spoken_of()]
        return [name for name in (*registry.aliases, *names) if name.startswith(incomplete)]
    provider = incomplete.partition("/")[0]
    if provider not in registry.providers:
        return []
    ids = (f"{provider}/{each.id}" for each in registry.models(provider))
    return [each for each in ids if each.startswith(incomplete)]


def call(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask; - reads it.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="provider/model, or an alias.", autocompletion=_models),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions before the prompt.")] = None,
    temperature: Annotated[float | None, typer.Option(help="[the provider's own]")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Bound of the answer. [the model's own]")
    ] = None,
    caller: Annotated[str, typer.Option(help="For whom usage is counted.")] = "cli",
    gateway: Annotated[
        str | None,
        typer.Option(
            envvar="DRAGOMAN_BASE_URL", help="A running gateway. [none: the call is made here]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Calls it (R-CLI-008)."""
    if not model:
        fail(
            f"Caller '{caller}' must specify a model from their config: say --model provider/model. "
            "`dragoman models` lists them.",
            as_json=as_json,
            code=USAGE,
        )
    settings_or_fail({"mode": "local"}, as_json=as_json)
    from dragoman.cli.progress import working
    from dragoman.core.errors import GatewayError
    from dragoman.library.response import ask

    messages = [{"role": "user", "content": sys.stdin.read() if prompt == "-" else prompt}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    try:
        with working(f"Waiting for {model}"):
            reply = ask(
                messages,
                model,
                caller,
                temperature=temperature,
                max_tokens=max_tokens,
                gateway=gateway,
            )
    except GatewayError as error:
        fail(error.message, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        say_json(
            {
                "text": reply.text,
                "model": reply.model,
                "served_by": reply.served_by,
                "caller": reply.caller,
                "generation_id": reply.generation_id,
                "finish_reason": reply.finish_reason,
                "usage": reply.usage,
                "cost_usd": None if reply.cost_usd is None else f"{reply.cost_usd:f}",
                "call_id": reply.call_id,
                "latency_ms": round(reply.latency_ms, 3),
            }
        )
        return
    say(reply.text)
    told = [reply.served_by, None if reply.tokens is None else f"{reply.tokens} tokens"]
    told.append(None if reply.cost_usd is None else f"{reply.cost_usd:f} USD")
    sys.stderr.write(", ".join(part for part in told if part) + "\n")


def status() -> str:
    """Whether there is anybody to call."""
    from dragoman.assembly.registry import open_registry
    from dragoman.config.load import environment, load_settings

    registry = open_registry(load_settings({"mode": "local"}), environment())
    names = [name for name, each in registry.providers.items() if not each.stub]
    return f"ready; {', '.join(names)}" if names else "no provider has a key"
