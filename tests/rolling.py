"""Replicas behind a balancer that are restarted one after another, and callers who notice nothing of it."""

import http.client
import json
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

from balancer import balancing, is_ready
from servers import KEY, gateway_server, until

SETTINGS = {"DRAIN_DELAY_S": "0.8", "LOG_LEVEL": "warning"}
WHOLE = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**WHOLE, "model": "openai/gpt-4o-mini--mock-chunk-delay-20", "stream": True}


class Load:
    """Callers that ask one after another, over connections that they keep as long as they may."""

    def __init__(self, port: int, key: str = KEY, refused: int | None = None, **members) -> None:
        self._port = port
        self._key = key
        self._refused = refused
        self._members = members
        """A status that is no failure."""
        self._over = threading.Event()
        self.told: Counter[str] = Counter()
        self.failures: list[str] = []

    def call(self, body) -> None:
        connection = None
        while not self._over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(
                    "POST",
                    "/v1/chat/completions",
                    json.dumps({**body, **self._members}),
                    {"authorization": f"Bearer {self._key}"},
                )
                reply = connection.getresponse()
                data = reply.read()
                if reply.status == self._refused:
                    self.told["refused"] += 1
                    continue
                whole = (
                    data.endswith(b"data: [DONE]\n\n") if "stream" in body else b"choices" in data
                )
                if reply.status != 200 or not whole or b'"error"' in data:
                    self.failures.append(f"{reply.status} {data[-200:]!r}")
                self.told["stream" if "stream" in body else "whole"] += 1
                if reply.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                connection = None
            finally:
                time.sleep(0.01)
        if connection is not None:
            connection.close()

    @contextmanager
    def going(self, whole: int = 4, streams: int = 2):
        threads = [
            threading.Thread(target=self.call, args=(body,), daemon=True)
            for body in [WHOLE] * whole + [STREAM] * streams
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)


def roll(folder, restarts: int, loads, *arguments: str, after=None, **settings: str):
    """Restarts replicas under ``loads(balancer, replica)``, a list of contexts; ``after`` looks at the end.

    What it says of the replica that is there then.
    """
    with ExitStack() as all_of_them, balancing() as balancer:

        def begin(number):
            home = folder / f"replica{number}"
            home.mkdir()
            server = all_of_them.enter_context(
                gateway_server(home, *arguments, **{**SETTINGS, **settings})
            )
            balancer.behind.append(server.port)
            return server

        replicas = [begin(number) for number in range(2)]
        until(lambda: all(is_ready(replica.port) for replica in replicas))
        balancer.look()
        with ExitStack() as going:
            for each_load in loads(balancer, replicas[0]):
                going.enter_context(each_load)
            for number in range(restarts):
                time.sleep(0.3)
                new, old = begin(number + 2), replicas.pop(0)
                replicas.append(new)
                balancer.look()
                old.process.send_signal(signal.SIGTERM)
                assert old.process.wait(30) == 0
                balancer.behind.remove(old.port)
            time.sleep(0.3)
        return None if after is None else after(replicas[-1])
