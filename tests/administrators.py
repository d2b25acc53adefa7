"""Speaking to a gateway as its administrator."""

import re

from servers import until

_SHOWN = re.compile(r"Admin key, shown this once: (\S+)")


def admin_key(server) -> str:
    """The key that the gateway showed when it first started."""
    # Of several workers another may serve before the one that made it has said so.
    return until(lambda: _SHOWN.search(server.said))[1]


def made_key(server, admin: str, user: str, **members) -> dict:
    """A key that the administrator has made."""
    reply = server.ask(
        "POST", "/api/admin/users/generate-key", {"userId": user, **members}, key=admin
    )
    assert reply.status == 201, reply.body
    return reply.json()
