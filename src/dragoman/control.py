"""The admin room's furniture: its desk, made of what the process has, and the room itself once it is asked for.

FastAPI is imported with the first request that needs it (D32), in a thread, so that calls go on meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dragoman.accounting.account import Accountant
from dragoman.admin.accounts_kept import Ob1
from dragoman.admin.deeds import deed, refused
from dragoman.admin.desk import Desk, IngestPolicy
from dragoman.admission.strangers import strangers
from dragoman.assembly.live_accounts import ACCOUNTS
from dragoman.catalog.stored import Kind
from dragoman.config.budgets import budgets_of
from dragoman.config.tiers import read_tiers
from dragoman.core.call import Call
from dragoman.core.client_address import address_of, networks_of
from dragoman.core.errors import HouseError
from dragoman.core.provider import ACCOUNT
from dragoman.health.condition import Condition, conditions
from dragoman.live_models import LiveModels
from dragoman.reload import Reloader
from dragoman.services import Services, new_id
from dragoman.store.seal import FERNET, FILE, Sealed, open_sealer
from dragoman.surface.managed import Management
from dragoman.surface.managed_rows import MANAGED
from dragoman.surface.whole import Whole
from dragoman.telemetry.turned_log import TurnedLog
from dragoman.transport.tunnel import tunnel_of

if TYPE_CHECKING:
    from starlette.types import Scope

    from dragoman.admin.application import Room


def management(services: Services, reloader: Reloader, live: LiveModels) -> Management:
    """What the surface needs of the admin room."""
    settings, gate = services.settings, services.house.gate
    door = _Door(desk_of(services, reloader, live))
    known = strangers(
        (
            settings.admin_keys_rate_limit_rps,
            settings.admin_keys_rate_limit_rpm,
            settings.admin_keys_rate_limit_rpd,
        ),
        gate.store,
        gate.limited,
        settings.rate_limit_hash_secret.get_secret_value(),
    )
    proxies = networks_of(settings.trusted_proxies)
    return Management(
        answer=door.answer,
        refused=partial(refused, door.desk),
        deed=partial(deed, door.desk),
        described=door.described,
        admit=lambda call: known.admit(address_of(call, proxies) or "-"),
        ingest_cap=settings.admin_keys_max_body_bytes,
    )


class _Door:
    """The way into the room, which is made when somebody first knocks."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._room: Room | None = None
        self._making = asyncio.Lock()

    async def answer(self, call: Call, scope: Scope, body: bytes) -> Whole:
        """The room's answer."""
        reply = await (await self._opened()).answer(call, scope, body)
        return Whole(reply.status, reply.body, reply.content_type, reply.headers)

    async def described(self) -> dict[str, object]:
        """The room's part of the interface's description."""
        room = await self._opened()
        return await asyncio.to_thread(_described, room)

    async def _opened(self) -> Room:
        if self._room is None:
            async with self._making:
                if self._room is None:
                    self._room = await asyncio.to_thread(_furnished, self.desk)
        return self._room


def _furnished(desk: Desk) -> Room:
    from dragoman.admin.application import Room, check_rows  # noqa: PLC0415  FastAPI is heavy (D32)

    room = Room(desk)
    check_rows(room, {(row.method, row.path): row.permission for row in MANAGED})
    return room


def _described(room: Room) -> dict[str, object]:
    from dragoman.admin.description import describe  # noqa: PLC0415  as above

    return describe(room.app, {(row.method, row.path): row.summary for row in MANAGED})


def desk_of(services: Services, reloader: Reloader, live: LiveModels) -> Desk:
    """The desk of one process."""
    from dragoman.store.sql.search import SqlSearch  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.sql.summing import Summing  # noqa: PLC0415

    settings, house, stored = services.settings, services.house, services.stored
    assert stored is not None, "serving has opened it"
    accountant = house.accountant
    submissions = TurnedLog(
        settings.dragoman_home / "logs" / "admin-keys.jsonl", settings.admin_keys_log_max_bytes
    )

    async def flush() -> None:
        await accountant.flush()

    def tell(level: str, message: str, **members: object) -> None:
        services.log.event(level, message, **members)

    return Desk(
        audit=stored.audit,
        keys=stored.keys,
        tenancy=stored.tenancy,
        forget_content=stored.forgetting.forget_content,
        names=stored.names,
        stored_tiers=stored.tiers,
        submissions=stored.submissions,
        budgets=stored.budgets,
        budgets_in_file=lambda: budgets_of(services.settings),
        credentials=stored.credentials,
        credentials_changed=services.look_at_credentials,
        try_credential=services.try_credential,
        ledger=accountant.writer.ledger,
        search=SqlSearch(services.database),
        reports=Summing(services.database),
        ingest=IngestPolicy(
            providers=frozenset(settings.admin_keys_allowed_providers),
            most=settings.admin_keys_log_max_entries,
            log=lambda members: submissions.write(members, time.time()),
            proxies=networks_of(settings.trusted_proxies),
        ),
        tiers=lambda: house.gate.tiers.tiers,
        tiers_in_file=lambda: read_tiers(services.settings),
        limits=lambda caller: house.gate.tiers.rules(caller).limits,
        name_of=partial(_name_of, settings.api_key_hash_secret.get_secret_value()),
        keys_changed=services.keys_changed,
        try_out=reloader.try_out,
        renew=reloader.renew,
        flush=flush,
        registry=lambda: house.registry,
        services=lambda: {name: each.service for name, each in house.services.items()},
        overlay=lambda: services.overlay,
        said_in_file=lambda: _said_in_file(services),
        providers_in_file=lambda: frozenset(
            str(row.get("name")) for row in services.settings.providers
        ),
        accounts=ACCOUNTS.standings,
        ob1=_ob1(services),
        acquit=lambda name: house.health.disabling.acquit(name, house.clock.monotonic()),
        cards=live.cards,
        numbers=services.metrics.all_numbers,
        conditions=lambda: _conditions(services),
        queues=lambda: _queues(services, accountant),
        most_errors=settings.admin_metrics_max_error_lines,
        log=tell,
        new_id=new_id,
        wall=time.time,
        started_us=int(time.time() * 1_000_000),
    )


def _ob1(services: Services) -> Ob1:
    settings = services.settings
    key = settings.fernet_key.get_secret_value() if settings.fernet_key else None
    sealer = open_sealer(settings.dragoman_home, key)

    def opened(said: str) -> bytes | None:
        try:
            return sealer.open(Sealed(said.encode(), FERNET if sealer.fernets else FILE))
        except HouseError:
            return None

    def proxy() -> str | None:
        said = services.settings.ob1_proxy_url
        if said is None:
            return None
        tunnel = tunnel_of(said.get_secret_value())
        return f"http://{tunnel.host}:{tunnel.port}"

    return Ob1(
        work=lambda: ACCOUNTS.work("ob1"),
        seal=lambda said: sealer.seal(said).token.decode(),
        open=opened,
        rotation=lambda: services.settings.ob1_rotation_mode,
        proxy=proxy,
    )


def _name_of(secret: str, key: str) -> str:
    """A key's name: the same wherever the secret is, and of no use to who has it alone."""
    under = blake2b(secret.encode(), digest_size=32).digest()
    return blake2b(key.encode(), key=under, digest_size=16, person=b"keys/me").hexdigest()


def _said_in_file(services: Services) -> Mapping[Kind, Mapping[str, Any]]:
    settings = services.settings
    return {"alias": settings.aliases, "route": settings.routes, "policy": {}}


def _conditions(services: Services) -> Mapping[str, Condition]:
    house = services.house
    return conditions(house.health, house.registry.providers, house.clock.monotonic())


def _queues(services: Services, accountant: Accountant) -> Mapping[str, Any]:
    by_model: dict[str, int] = {}
    for (provider, model), number in sorted(services.house.health.busy.all().items()):
        name = f"{provider.partition(ACCOUNT)[0]}/{model}"
        by_model[name] = by_model.get(name, 0) + number
    return {
        "by_model": by_model,
        "usage_waiting": accountant.writer.waiting,
        "storage_full": accountant.storage_full,
    }
