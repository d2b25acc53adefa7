"""Speaking to a gateway as its administrator."""

import re


def admin_key(server) -> str:
    """The key that the gateway showed when it first started."""
    return re.search(r"Admin key, shown this once: (\S+)", server.said)[1]


def made_key(server, admin: str, user: str, **members) -> dict:
    """A key that the administrator has made."""
    reply = server.ask(
        "POST", "/api/admin/users/generate-key", {"userId": user, **members}, key=admin
    )
    assert reply.status == 201, reply.body
    return reply.json()
