"""Scripted outages over real processes: what each of them looks like from all sides.

A row of the table in ``docs/RETRY_FALLBACK_POLICY.md`` names a failure, as the mock's script or as one
of ``PLACES``; ``Ward.observe`` makes it happen and tells what became of it, in the table's own words.
"""

import json
import re
import socket
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trustme

from dragoman.core.call import STALE
from servers import Server, free_port, gateway_server

POLICY = Path(__file__).parents[1] / "docs" / "RETRY_FALLBACK_POLICY.md"
SETTINGS = {
    "CONNECT_TIMEOUT_MS": "1500",
    "FIRST_EVENT_TIMEOUT_MS": "5000",
    "STREAM_IDLE_TIMEOUT_MS": "800",
    "BREAKER_FAILURES": "3",
    "BREAKER_OPEN_S": "120",
    # Whether a try is affordable is another story; here all of them are.
    "RETRY_SHARE": "1",
    "RETRIES_PER_S": "1000",
    "ROW_KEY": "sk-mock-0123456789abcdef0123456789abcdef",
}
PLACES = ("refused", "black hole", "no TLS", "untrusted certificate")
AT_ONCE = 14
"""Every stream that breaks has answered before: a breaker then opens at half of 20."""
_ROW = re.compile(r"^\| (?P<cells>[^|]+(?: \| [^|]+){7}) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    failure: str
    script: str
    reply: str
    """``whole``, ``stream`` or ``both``."""
    sees: str
    attempts: str
    falls_back: str
    ledger: str
    blamed: str

    @property
    def line(self) -> str:
        cells = (
            self.failure,
            f"`{self.script}`",
            self.reply,
            self.sees,
            self.attempts,
            self.falls_back,
            self.ledger,
            self.blamed,
        )
        return f"| {' | '.join(cells)} |"

    @property
    def ways(self) -> tuple[str, ...]:
        return ("whole", "stream") if self.reply == "both" else (self.reply,)


def read_table() -> list[Row]:
    """The rows of the documented table."""
    section = POLICY.read_text(encoding="utf-8").partition("## The table of outcomes")[2]
    found = []
    for line in _ROW.finditer(section.partition("\n## ")[0]):
        cells = [cell.strip() for cell in line["cells"].split("|")]
        if cells[1].startswith("`"):
            found.append(Row(cells[0], cells[1].strip("`"), *cells[2:]))
    return found


@contextmanager
def black_hole() -> Iterator[int]:
    """A port at which connecting never ends: its queue is full, and nobody accepts."""
    with socket.socket() as listening, ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.settimeout(0)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def untrusted() -> Iterator[int]:
    """A TLS server whose authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@dataclass
class Ward:
    """A gateway that has a provider for each row, and one that is well."""

    gateway: Server
    names: dict[tuple[str, str], str]

    def observe(self, row: Row, way: str) -> Row:
        """The row as it comes out, for one kind of reply."""
        name = self.names[row.script, way]
        scripted = row.script not in PLACES
        suffix = "".join(f"--mock-{word}" for word in row.script.split(" ")) if scripted else ""
        stream = way == "stream"
        alone, fallen = f"{name}/m{suffix}", f"{name}/m2{suffix}"
        tag = f"{name}-alone"
        reply = self.gateway.chat(alone, stream=stream, headers={"x-request-id": tag})
        behind = self.gateway.chat(fallen, stream=stream, routing={"fallback": ["well/m"]})
        made = self._attempts(tag)
        assert reply.headers["x-dragoman-attempts"] == str(len(made))
        # Whether a connection was kept from the row before is chance, and what was repeated for that is no try.
        tries = [status for status, code in made if code != STALE]
        seen = replace(
            row,
            reply=way,
            sees=_sees(reply),
            attempts=str(len(tries)),
            falls_back="yes" if behind.headers.get("x-dragoman-provider") == "well" else "no",
            ledger=tries[0],
        )
        assert (seen.falls_back == "yes") == (
            _sees(behind) == "200" and reply.headers["x-dragoman-provider"] == name
        ) or _sees(reply) == "200", behind.body
        return replace(seen, blamed=self._blamed(name, alone, stream=stream))

    def _blamed(self, name: str, model: str, *, stream: bool) -> str:
        def ask(_: int) -> bool:
            reply = self.gateway.chat(model, stream=stream, routing={"max_attempts": 1})
            return b"provider_down" in reply.body

        if any(map(ask, range(int(SETTINGS["BREAKER_FAILURES"]) + 1))):
            return "provider"
        # Side by side, as they have to fall into ten seconds on a busy machine, too.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(ask, range(AT_ONCE)))
        if ask(0):
            return "provider"
        if not self._is_first(name, model, stream=stream):
            rests = self._is_first(name, f"{name}/unscripted", stream=stream)
            return "key, for this model" if rests else "key"
        return "nobody"

    def _is_first(self, name: str, model: str, *, stream: bool) -> bool:
        """Whether the candidate goes before one that is well."""
        routing = {"fallback": ["well/m"], "max_attempts": 1}
        reply = self.gateway.chat(model, stream=stream, routing=routing)
        return reply.headers["x-dragoman-provider"] == name

    def _attempts(self, request_id: str) -> list[tuple[str, str | None]]:
        """Their ends and codes in the ledger, in their order."""
        self.gateway.rows()  # has them flushed
        home = self.gateway.environment["DRAGOMAN_HOME"]
        found = sqlite3.connect(f"{home}/dragoman.db")
        try:
            return found.execute(
                "SELECT a.status, a.error_code FROM ledger_attempts a JOIN ledger_requests r "
                "ON r.call_id = a.call_id WHERE r.request_id = ? ORDER BY a.number",
                (request_id,),
            ).fetchall()
        finally:
            found.close()


def _sees(reply) -> str:
    """What a caller of the chat dialect has got, in the table's words."""
    if reply.status != 200:
        return f"{reply.status} {reply.json()['error']['code'] or ''}".strip()
    if reply.headers["content-type"].startswith("application/json"):
        return "200"
    frames = [f.removeprefix("data: ") for f in reply.body.decode().split("\n\n") if f.strip()]
    assert frames[-1] == "[DONE]"
    last = json.loads(frames[-2])
    if "error" not in last:
        return "200"
    assert not any(
        choice.get("finish_reason")
        for frame in frames[:-2]
        for choice in json.loads(frame).get("choices", ())
    )
    return f"200, then {last['error']['code']}"


@contextmanager
def ward(mock: Server, folder: Path, rows: list[Row]) -> Iterator[Ward]:
    """The gateway for these rows, while the block runs."""
    with black_hole() as hole, untrusted() as foreign:
        bases = {
            "refused": f"http://127.0.0.1:{free_port()}",
            "black hole": f"http://127.0.0.1:{hole}",
            "no TLS": f"https://127.0.0.1:{mock.port}",
            "untrusted certificate": f"https://127.0.0.1:{foreign}",
        }
        names = {
            (row.script, way): f"r{at}{way}" for at, row in enumerate(rows) for way in row.ways
        }
        table = [
            f'[[providers]]\nname = "{name}"\ndialect = "chat"\n'
            f'base_url = "{base}/openai/v1"\ncredentials = [{{ key = "${{ROW_KEY}}" }}]\n'
            for name, base in (
                ("well", mock.url),
                *((name, bases.get(script, mock.url)) for (script, _), name in names.items()),
            )
        ]
        (folder / "dragoman.toml").write_text("".join(table))
        with gateway_server(folder, **SETTINGS) as gateway:
            yield Ward(gateway, names)
