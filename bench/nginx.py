"""nginx in its two parts: the upstream that answers at once, and the proxy that is the yardstick (D34).

The proxy does what any reverse proxy would: kept connections on both sides, buffered whole
replies, unbuffered streams, no log. That is the most that one core can relay here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import find_nginx
from process import free_port, running, wait_for
from traffic import CHUNKS, PATHS, stream, whole

_TOKEN = 3000
"""nginx takes no longer word in its configuration than 4,096 bytes."""

_FRAME = """\
daemon off;
master_process off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/{name}.body;
    proxy_temp_path {folder}/{name}.proxy;
    fastcgi_temp_path {folder}/{name}.fastcgi;
    uwsgi_temp_path {folder}/{name}.uwsgi;
    scgi_temp_path {folder}/{name}.scgi;
{http}
}}
"""

_PROXY = """\
    upstream provider {{
        server 127.0.0.1:{upstream};
        keepalive 4096;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer upstream";
            proxy_buffering {buffering};
        }}
    }}"""


def static_config(port: int) -> str:
    """The server that answers at once; ``accept`` says whether a stream is wanted."""
    blocks = []
    for path, family in PATHS.items():
        pieces = _pieces(stream(family).whole(CHUNKS).decode())
        names = [f"$s{n}" for n in range(len(pieces))]
        sets = "\n".join(
            f"            set {name} '{piece}';" for name, piece in zip(names, pieces, strict=True)
        )
        blocks.append(f"""\
        location = {path} {{
            if ($http_accept = "text/event-stream") {{
                rewrite ^ /streams{path} last;
            }}
            default_type application/json;
            return 200 '{whole(family).decode()}';
        }}
        location = /streams{path} {{
            internal;
            default_type text/event-stream;
{sets}
            return 200 {"".join(names)};
        }}""")
    locations = "\n".join(blocks)
    return f"""\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
{locations}
    }}"""


def _pieces(text: str) -> list[str]:
    """The text in words that nginx takes; cut by bytes, for it is ASCII."""
    assert text.isascii(), "the bench's answers are ASCII"
    assert not set(text) & set("$'\\"), "nginx would read these as its own"
    return [text[at : at + _TOKEN] for at in range(0, len(text), _TOKEN)]


@contextmanager
def static(folder: Path, core: int) -> Iterator[tuple[int, int]]:
    """The upstream that answers at once: its port and its process."""
    port = free_port()
    with _nginx(folder, "static", static_config(port), core, port) as pid:
        yield port, pid


@contextmanager
def proxy(
    folder: Path, core: int, upstream: int, *, streams: bool = False
) -> Iterator[tuple[int, int]]:
    """The reverse proxy in front of an upstream: its port and its process."""
    port = free_port()
    buffering = "off" if streams else "on"
    config = _PROXY.format(upstream=upstream, port=port, buffering=buffering)
    with _nginx(folder, f"proxy{port}", config, core, port) as pid:
        yield port, pid


@contextmanager
def _nginx(folder: Path, name: str, http: str, core: int, port: int) -> Iterator[int]:
    program = find_nginx()
    assert program is not None, "whoever asks for nginx has looked for it"
    config = folder / f"{name}.conf"
    config.write_text(_FRAME.format(folder=folder, name=name, http=http), encoding="ascii")
    log = folder / f"{name}.log"
    command = [program, "-c", str(config), "-p", str(folder)]
    with running(command, core=core, log=log, folder=folder) as process:
        wait_for(process, port, log)
        yield process.pid
