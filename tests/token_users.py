"""A process that uses a shared login, as the tests start several of: ``python tests/token_users.py WORD JSON``.

``many``: so many threads want the token at once; each says what it got. ``killed``: one renewal, with the
process ended at a named moment. ``writing``: writes the token's file over and over until it is ended.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from dragoman.catalog.login import read_logins
from dragoman.core.errors import GatewayError
from dragoman.core.secret import Secret
from dragoman.credentials.fresh import FreshToken
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token import Token
from dragoman.credentials.token_file import TokenFile
from dragoman.transport.asking import asker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def token_at(said: dict, shelf: TokenFile, ask=None) -> FreshToken:
    login = read_logins({"here": said["table"]}, {})["here"]
    return FreshToken(login, shelf, ask or asker())


def many(said: dict) -> None:
    token = token_at(said, TokenFile(Path(said["file"]), Sealing()))
    start, got, lock = threading.Barrier(said["threads"]), [], threading.Lock()

    def want() -> None:
        start.wait()
        try:
            found = token.current().access.reveal()
        except GatewayError as error:
            found = f"{error.code}: {error.message}"
        with lock:
            got.append(found)

    threads = [threading.Thread(target=want) for _ in range(said["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(got))


def killed(said: dict) -> None:
    moment = said["moment"]
    ask = asker()

    class Shelf(TokenFile):
        def begin(self, token):
            if moment == "before the note":
                die()
            super().begin(token)
            if moment == "after the note":
                die()

        def save(self, token):
            if moment == "before it is kept":
                die()
            super().save(token)
            if moment == "after it is kept":
                die()

        def end(self):
            super().end()
            if moment == "after the end":
                die()

    token_at(said, Shelf(Path(said["file"]), Sealing()), ask).current()


def writing(said: dict) -> None:
    shelf = TokenFile(Path(said["file"]), Sealing())
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    number = 0
    while True:
        number += 1
        word = f"token-{number}-" + "x" * (number * 7919 % 40_000)
        extra = {"number": number, "length": len(word)}
        shelf.save(Token(access=Secret(word), refresh=Secret("r"), expires_at=1e9, extra=extra))


if __name__ == "__main__":
    {"many": many, "killed": killed, "writing": writing}[sys.argv[1]](json.loads(sys.argv[2]))
