"""When usage that a process holds goes to SQL: by number, by time, at the end."""

from __future__ import annotations

import sqlite3
import time

import pytest

from servers import gateway_server, until

NEVER, SOON = "3600", "0.3"


def written(server) -> int:
    """Rows in the database, which nobody is asked for: that would have them written."""
    with sqlite3.connect(f"{server.environment['DRAGOMAN_HOME']}/dragoman.db") as database:
        [(number,)] = database.execute("SELECT count(*) FROM ledger_requests")
    return number


@pytest.mark.req("R-ENV-012", "R-USE-008")
def test_as_many_calls_as_the_buffer_holds_are_written_and_the_rest_at_the_end(tmp_path):
    settings = {"USAGE_BUFFER_SIZE": "4", "USAGE_FLUSH_INTERVAL": NEVER}
    with gateway_server(tmp_path, **settings) as server:
        for _ in range(3):
            assert server.chat().status == 200
        time.sleep(0.5)
        assert written(server) == 0
        server.chat()
        until(lambda: written(server) == 4)
        server.chat()
        time.sleep(0.5)
        assert written(server) == 4
        assert server.stop() == 0
        assert written(server) == 5


@pytest.mark.req("R-ENV-012", "R-USE-008")
def test_a_smaller_batch_is_written_after_the_interval(tmp_path):
    settings = {"USAGE_BUFFER_SIZE": "1000", "USAGE_FLUSH_INTERVAL": SOON}
    with gateway_server(tmp_path, **settings) as server:
        server.chat()
        until(lambda: written(server) == 1, 10)
