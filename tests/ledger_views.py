"""What stands in a running gateway's ledger, and what its mock provider knows better."""

import sqlite3

from servers import KEY, until

QUICK = {"RECONCILE_INTERVAL_S": "0.2", "USAGE_FLUSH_INTERVAL": "0.1"}


def rows(server, sql, *values):
    with sqlite3.connect(server.log.parent / "home" / "dragoman.db") as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(sql, values).fetchall()]
    connection.close()
    return found


def attempt_of(server, call):
    (row,) = rows(server, "SELECT * FROM ledger_attempts WHERE call_id = ?", call)
    return row


def settled(server, request_id, key=KEY):
    def look():
        found = [row for row in server.rows(key) if row["request_id"] == request_id]
        return next((row for row in found if row["tokens_from"] == "reconciled"), None)

    return until(look, 40)


def truth(mock):
    entries = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return [each for each in entries if each["method"] == "POST"][-1]
