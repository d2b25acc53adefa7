"""What the operator wants of traces, as OpenTelemetry's own variables say it."""

from __future__ import annotations

import socket
from urllib.parse import unquote, urlsplit

from dragoman import __version__
from dragoman.config.settings import ConfigError, Settings
from dragoman.telemetry.exporter import Bounds
from dragoman.telemetry.sampling import sampler_of
from dragoman.telemetry.sending import PATH
from dragoman.telemetry.tracer import Tracing

_GRPC_PORT = 4317


def tracing_of(settings: Settings, process: str) -> Tracing | None:
    """The wish of this process, whose id is ``process``; None where no traces are made.

    Raises:
        ConfigError: a list is not of the form name=value,name=value.
    """
    said = settings.otel_exporter_otlp_traces_endpoint or settings.otel_exporter_otlp_endpoint
    if settings.otel_sdk_disabled or not (said or settings.otel_console_export):
        return None
    grpc = _is_grpc(settings, said) if said else False
    endpoint = said or None
    if endpoint is not None and not grpc and not settings.otel_exporter_otlp_traces_endpoint:
        endpoint = endpoint.rstrip("/") + PATH
    headers = settings.otel_exporter_otlp_headers
    return Tracing(
        sampler=sampler_of(settings.otel_traces_sampler, settings.otel_traces_sampler_arg),
        resource=_resource(settings, process),
        endpoint=endpoint,
        grpc=grpc,
        headers=_pairs(
            headers.get_secret_value() if headers is not None else "", "OTEL_EXPORTER_OTLP_HEADERS"
        ),
        timeout_s=settings.otel_exporter_otlp_timeout / 1000,
        compression=settings.otel_exporter_otlp_compression,
        ca_file=settings.otel_exporter_otlp_certificate,
        console=settings.otel_console_export,
        bounds=Bounds(
            queue=max(settings.otel_bsp_max_queue_size, settings.otel_bsp_max_export_batch_size),
            batch=settings.otel_bsp_max_export_batch_size,
            delay_s=settings.otel_bsp_schedule_delay / 1000,
        ),
        passes_state=settings.otel_forward_tracestate,
    )


def _is_grpc(settings: Settings, endpoint: str) -> bool:
    if settings.otel_exporter_otlp_protocol is not None:
        return settings.otel_exporter_otlp_protocol == "grpc"
    try:
        parts = urlsplit(endpoint if "://" in endpoint else f"grpc://{endpoint}")
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"grpc", "grpcs"} or port == _GRPC_PORT


def _resource(settings: Settings, process: str) -> dict[str, str]:
    return {
        "service.name": "dragoman",
        "service.version": __version__,
        "service.instance.id": process,
        "host.name": socket.gethostname(),
        "telemetry.sdk.name": "dragoman",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        **_pairs(settings.otel_resource_attributes or "", "OTEL_RESOURCE_ATTRIBUTES"),
        **({"service.name": settings.otel_service_name} if settings.otel_service_name else {}),
    }


def _pairs(text: str, name: str) -> dict[str, str]:
    """The list of a variable; its values may be secret, so none is told."""
    found: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        key, value = key.strip(), unquote(value.strip())
        if not (equals and key) or not (key + value).isprintable():
            raise ConfigError(f"{name} is not of the form name=value,name=value.")
        found[key] = value
    return found
