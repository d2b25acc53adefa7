"""``get_response``: one call of a model, for a caller that has its own JSON files (R-CFG).

Nothing is chosen for the caller and nothing is tried twice: no model, no call; one failure, one error. Each call
is counted and logged in the library's own files, and stands in the ledger as the caller's.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.errors import GatewayError, code_of
from dragoman.library import own
from dragoman.library.answer import Reply, read_reply
from dragoman.library.engines import (
    callers_folder,
    engine_of,
    model_for,
    own_folder,
    settings_now,
)
from dragoman.library.failures import (
    CALLER_OFF,
    HOUSE_OFF,
    NO_MODEL,
    NOT_PROVISIONED,
    PROVISIONED,
    CallError,
)
from dragoman.library.messages import Message, messages_of
from dragoman.library.place import Place, place_of
from dragoman.library.provision import CallerConfig, provision, read_caller_config
from dragoman.library.templates import CONFIG, OWN_CONFIG

log = logging.getLogger("dragoman.library")

OnError = Literal["raise", "none"]


class Options(Struct, frozen=True):
    """What a call may say beside its messages, its model and its caller; None: nothing."""

    temperature: float | None = None
    max_tokens: int | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] | None = None
    """Further members of the request, as the chat dialect has them."""
    json_folder: Path | None = None
    """The caller's JSON folder, where the stack does not tell it."""
    gateway: str | None = None
    """A running gateway's address. [DRAGOMAN_BASE_URL; else the call is made in this process]"""
    api_key: str | None = None
    """The key for that gateway. [DRAGOMAN_API_KEY]"""
    timeout_s: float | None = None
    """[``timeout_seconds`` of ``openrouter_config.json``]"""


def get_response(
    messages: Sequence[Message] | None = None,
    model: str | None = None,
    caller: str | None = None,
    *,
    prompt: str | None = None,
    on_error: OnError = "raise",
    **options: Any,
) -> str | None:
    """The assistant's words.

    Args:
        messages: as the chat dialect has them; they go on unchanged. Or ``prompt``.
        model: what the caller's own config says, or any other; there is no default.
        caller: who calls; None: read off the stack.
        prompt: a text instead of messages.
        on_error: ``none`` has a failure logged and answered by None instead of raised.
        options: members of ``Options``.

    Raises:
        CallError, GatewayError: there is no answer; the text says why (R-CFG-018).
    """
    try:
        return _ask(
            sys._getframe(1),  # noqa: SLF001  who calls is read off the stack
            messages,
            model,
            caller,
            prompt,
            _options(options),
        ).text
    except GatewayError:
        if on_error == "none":
            return None
        raise


def ask(
    messages: Sequence[Message] | None = None,
    model: str | None = None,
    caller: str | None = None,
    *,
    prompt: str | None = None,
    **options: Any,
) -> Reply:
    """The whole answer, with usage, cost and tool calls; otherwise as ``get_response``.

    Raises:
        CallError, GatewayError: as there.
    """
    frame = sys._getframe(1)  # noqa: SLF001  as above
    return _ask(frame, messages, model, caller, prompt, _options(options))


def get_ai_model(caller: str | None = None, *, json_folder: Path | None = None) -> str | None:
    """The model in the caller's own config, for the caller to pass on; None when missing (R-CFG-015).

    Raises:
        CallError: the file cannot be read, or no caller can be found.
    """
    folder = json_folder
    if folder is None:
        home = callers_folder(settings_now())
        folder = place_of(caller, home, sys._getframe(1)).folder  # noqa: SLF001  as above
    config = read_caller_config(folder)
    return None if config is None else config.model


def _options(said: dict[str, Any]) -> Options:
    unknown = set(said) - set(Options.__struct_fields__)
    if unknown:
        known = ", ".join(Options.__struct_fields__)
        raise TypeError(f"unknown option {min(unknown)!r}; there are {known}")
    return Options(**said)


def _ask(
    frame: FrameType,
    messages: Sequence[Message] | None,
    model: str | None,
    caller: str | None,
    prompt: str | None,
    options: Options,
) -> Reply:
    try:
        settings = settings_now()
        folder = own_folder(settings)
        place = place_of(caller, callers_folder(settings), frame, options.json_folder)
        own.ensure(folder)
        infra = own.read_infrastructure(folder)
    except GatewayError as error:
        _tell_failure(caller, model, error)
        raise
    began = time.monotonic()
    sent = False
    try:
        if not infra.enabled:
            raise CallError(HOUSE_OFF.format(path=infra.disabled_in), code="disabled")
        wanted = messages_of(messages, prompt)
        config = _config(place, infra, folder, model)
        assert model is not None, "it was asked for"
        if infra.log_requests:
            log.info("api_request: caller=%s model=%s", place.name, model)
        engine = engine_of(infra, options.gateway, options.api_key)
        body = _body(model_for(engine, model, infra), wanted, config, model, options)
        sent = True
        came = engine.ask(body, place.name, options.timeout_s or infra.timeout_s)
        reply = replace(read_reply(came, place.name), latency_ms=(time.monotonic() - began) * 1000)
    except GatewayError as error:
        _tell_failure(place.name, model, error)
        own.note_call(folder, _failed(place, model, error, began, sent=sent))
        raise
    if infra.log_responses:
        log.info("api_response: caller=%s model=%s text=%s", place.name, model, reply.text)
    own.note_call(folder, _succeeded(place, model, reply))
    return reply


def _tell_failure(caller: str | None, model: str | None, error: GatewayError) -> None:
    """A failure's line (R-ADD-003); a refusal has no use for a stack."""
    log.error("api_error: caller=%s model=%s error=%s", caller, model, error.message)


def _config(
    place: Place, infra: own.Infrastructure, folder: Path, model: str | None
) -> CallerConfig:
    """The caller's config, made where there is none; the model must have been said (R-CFG-004, 007, 011, 014)."""
    path = place.folder / CONFIG
    config = read_caller_config(place.folder)
    made: list[str] = []
    if config is None:
        if not infra.auto_provision:
            told = NOT_PROVISIONED.format(caller=place.name, path=path, own=folder / OWN_CONFIG)
            raise CallError(told, code="not_provisioned")
        made = provision(place.folder)
        log.info("provision_config: caller=%s files=%s", place.name, ", ".join(made))
        own.note_operation(
            folder, "provision_config", place.name, f"created {', '.join(made)} in {place.folder}"
        )
        config = read_caller_config(place.folder) or CallerConfig()
    if not config.enabled:
        raise CallError(CALLER_OFF.format(caller=place.name, path=path), code="disabled")
    if model is None or not model.strip():
        text = PROVISIONED if made else NO_MODEL
        raise CallError(text.format(caller=place.name, path=path), code="no_model")
    return config


def _body(
    asked: str, messages: list[Message], config: CallerConfig, model: str, options: Options
) -> bytes:
    """The request. What the caller's config says of temperature and length holds for the config's own model."""
    own_model = config.model == model
    temperature, most = options.temperature, options.max_tokens
    members = {
        "model": asked,
        "messages": messages,
        "temperature": config.temperature if temperature is None and own_model else temperature,
        "max_tokens": config.max_tokens if most is None and own_model else most,
        "tools": options.tools,
        "tool_choice": options.tool_choice,
        "response_format": options.response_format,
        # Pure fail-fast: the library tries once (C-02).
        "routing": {"max_attempts": 1},
        **(options.extra or {}),
    }
    if members.get("stream"):
        raise CallError("A library call is answered whole: leave stream out.", code="no_stream")
    return msgspec.json.encode({name: each for name, each in members.items() if each is not None})


def _failed(
    place: Place, model: str | None, error: GatewayError, began: float, *, sent: bool
) -> own.Told:
    return own.Told(
        caller=place.name,
        model=model,
        succeeded=False,
        latency_ms=(time.monotonic() - began) * 1000,
        error=f"{code_of(error)}: {error.message}",
        calls_upstream=sent,
    )


def _succeeded(place: Place, model: str | None, reply: Reply) -> own.Told:
    cost: Decimal | None = reply.cost_usd
    return own.Told(
        caller=place.name,
        model=model,
        succeeded=True,
        generation_id=reply.generation_id,
        tokens=reply.tokens,
        cost=cost,
        latency_ms=reply.latency_ms,
    )
