"""The library without a server: the whole house in this process, behind its background loop.

A call goes the way of every other: routing, attempt, ledger. Only who calls is known beforehand, so there is no
key to check. It is the same database and the same journal that a server in this home has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from decimal import Decimal

from dragoman.config.settings import Settings
from dragoman.core.call import Call, Caller
from dragoman.core.errors import HouseError
from dragoman.library.answer import Came
from dragoman.pipeline import enter
from dragoman.services import Services, new_id, open_services
from dragoman.transport import blocking

TENANT = "local"
KEY = "library"
"""What the ledger calls the key of such a call: there is none."""


class Inside:
    """A house of this process's own."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = dict(env)
        self._stack = AsyncExitStack()
        self._services: Services | None = None

    def open(self) -> None:
        """Opens the database, the journal and the transport.

        Raises:
            GatewayError: something cannot be opened; the message says what to do.
        """
        blocking.run(self._open())
        blocking.at_end(self.close)

    async def _open(self) -> None:
        try:
            self._services = await self._stack.enter_async_context(
                open_services(self._settings, self._env, first_key=False)
            )
        except BaseException:
            await self._stack.aclose()
            raise

    async def close(self) -> None:
        """Closes it, the ledger written."""
        self._services = None
        await self._stack.aclose()

    def providers(self) -> list[str]:
        """Who can be asked."""
        assert self._services is not None, "it was opened"
        return list(self._services.house.registry.providers)

    def is_known(self, model: str) -> bool:
        """Whether the house has its own idea of a model string: a name of the operator's, or a provider's."""
        assert self._services is not None, "it was opened"
        registry = self._services.house.registry
        head, slash, _ = model.partition("/")
        return not slash or head in registry.providers or model in registry.aliases

    def ask(self, body: bytes, caller: str, timeout_s: float) -> Came:
        """Has a chat request answered, in one try.

        Raises:
            GatewayError: it was refused or failed.
        """
        return blocking.run(self._ask(body, caller, timeout_s))

    async def _ask(self, body: bytes, caller: str, timeout_s: float) -> Came:
        services = self._services
        if services is None:
            raise HouseError("overloaded", "The library is closing.")
        house = services.house
        call_id = new_id()
        bare = call_id.replace("-", "")

        async def read_body() -> bytes:
            return body

        call = Call(
            id=call_id,
            request_id=f"req_{bare}",
            trace_id=bare,
            dialect="chat",
            operation="chat",
            route="/v1/chat/completions",
            proof=None,
            headers={"x-dragoman-timeout-ms": str(max(1, int(timeout_s * 1000)))},
            read_body=read_body,
            received=time.monotonic(),
            wall=time.time(),
            streams="never",
        )
        who = call.caller = Caller(KEY, TENANT, caller)
        tab = house.accountant.open_tab(call, who)
        try:
            answer = await enter(call, who, tab, house)
        finally:
            if call.hold is not None:
                call.hold.leave()
        served = call.outcome.served
        cost: Decimal | None = None
        if served is not None and served.estimated is None:
            cost = served.cost
        return Came(
            body=answer.head.body or b"",
            served_by=f"{served.provider}/{served.model}" if served is not None else None,
            cost_usd=cost,
            call_id=call_id,
            generation_id=served.upstream_id if served is not None else None,
        )
