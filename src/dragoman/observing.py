"""What watches the house: traces, opened where somebody gets them, queues, and what the log is told."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeAlias

from dragoman.accounting.account import Accountant
from dragoman.config.settings import Settings
from dragoman.core.errors import HouseError
from dragoman.keeping.notes import Notes
from dragoman.telemetry.log import Log

if TYPE_CHECKING:
    from dragoman.store.error_log import ErrorLog
    from dragoman.telemetry.spans import Addresses
    from dragoman.telemetry.tracer import Tracer


Depths: TypeAlias = tuple[dict[str, int], dict[str, int]]
"""Queue → what waits in it; queue → what was lost of it."""


def depths(
    accountant: Accountant, notes: Notes, errors: ErrorLog, log: Log, tracer: Tracer | None
) -> Depths:
    """How deep the queues behind the calls of this process are."""
    waits = {
        "ledger": accountant.writer.waiting,
        "journal": accountant.journal.held,
        "notes": notes.waiting,
        "errors": errors.waiting,
        "log": log.waiting,
    }
    lost = {"errors": errors.lost, "log": log.lost}
    if tracer is not None:
        waits["traces"], lost["traces"] = tracer.waiting, tracer.exporter.dropped
    return waits, lost


def tracing(
    settings: Settings, process: str, addresses: Addresses, log: Log, stack: AsyncExitStack
) -> Tracer | None:
    """What makes traces; None where nobody gets any, and then nothing of it is imported.

    Args:
        settings: whether, which, and where they go.
        process: the id of this process.
        addresses: a provider's base URL.
        log: is told when they cannot be exported.
        stack: closes it, with what waits sent.

    Raises:
        ConfigError: what is said of them cannot be read.
    """
    if settings.otel_sdk_disabled or not (
        settings.otel_exporter_otlp_endpoint
        or settings.otel_exporter_otlp_traces_endpoint
        or settings.otel_console_export
    ):
        return None
    from dragoman.config.tracing import tracing_of  # noqa: PLC0415
    from dragoman.telemetry.tracer import open_tracer  # noqa: PLC0415

    wanted = tracing_of(settings, process)
    if wanted is None:
        return None
    loop = asyncio.get_running_loop()

    def notice(level: str, message: str) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(log.event, level, message)

    tracer = open_tracer(wanted, addresses, notice)
    if tracer is not None:
        stack.push_async_callback(asyncio.to_thread, tracer.exporter.close)
    return tracer


def told_of_limits(log: Log, what: str, error: Exception | None) -> None:
    """Tells the log where limits are counted now, or why not where they should be."""
    if error is None:
        log.event("info", what)
    else:
        untold(log, what, error)


def untold(log: Log, what: str, error: Exception) -> None:
    """Tells the log of a failure behind the calls; of one that is not worded for it the kind alone."""
    said = error.message if isinstance(error, HouseError) else type(error).__name__
    log.event("warn", what, error=said)
