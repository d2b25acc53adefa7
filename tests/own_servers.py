"""A PostgreSQL and a Redis of a test's own, which it may stop, kill and start again.

Each lives in a temporary directory on a free port, and goes with its test. PostgreSQL refuses to run as root, so
there it runs as the user ``postgres`` or ``nobody``. Where a program is missing the test is skipped with a
word; under ``CI`` that is a failure.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from lacking import lacking
from servers import free_port


def program(name: str) -> str:
    places = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        lacking(
            f"there is no {name} on this machine: it belongs to the server that the test starts"
        )
    return found


@dataclass
class OwnPostgres:
    """A server that listens on loopback, as long as it is not stopped."""

    folder: Path
    port: int
    user: str | None

    @property
    def url(self) -> str:
        return f"postgresql://dragoman@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "dragoman", "-A", "trust", "-N")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", log, "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def is_up(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def _run(self, name: str, *arguments: str) -> None:
        said = self.folder / "said"
        with said.open("ab") as output:
            done = subprocess.run(
                [program(name), *arguments],
                user=self.user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        assert done.returncode == 0, said.read_text()[-2000:]


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A new server, with an empty database ``postgres``."""
    program("initdb")
    user = _other_user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="dragoman-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    server = OwnPostgres(folder, free_port(), user)
    try:
        server.make()
        server.start()
        yield server
    finally:
        if server.is_up:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@dataclass
class OwnRedis:
    """A server without files, so that it comes back empty."""

    folder: Path
    port: int
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        self.processes.append(
            subprocess.Popen(
                [*command, "--save", "", "--appendonly", "no", "--dir", str(self.folder)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url, socket_timeout=1) as client:
            while True:
                try:
                    client.ping()
                except (redis.RedisError, OSError):
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.05)
                else:
                    return

    def send(self, number: signal.Signals) -> None:
        self.processes[-1].send_signal(number)

    def kill(self) -> None:
        self.processes[-1].kill()
        self.processes[-1].wait(10)


@contextmanager
def own_redis(folder: Path) -> Iterator[OwnRedis]:
    """A new, empty server."""
    folder.mkdir(exist_ok=True)
    server = OwnRedis(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        for process in server.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)
