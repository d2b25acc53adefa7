"""What administrators read and write, opened together: keys, credentials, names, tiers, audit log, bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dragoman.store.sql.audit import SqlAudit, open_audit
from dragoman.store.sql.bodies import SqlBodies
from dragoman.store.sql.budgets import SqlBudgets
from dragoman.store.sql.credentials import SqlCredentials
from dragoman.store.sql.forgetting import SqlForgetting
from dragoman.store.sql.key_desk import SqlKeyDesk
from dragoman.store.sql.named import SqlNamed
from dragoman.store.sql.stored_tiers import SqlTiers
from dragoman.store.sql.submissions import SqlSubmissions
from dragoman.store.sql.tenancy import SqlTenancy
from dragoman.store.sql.tenant_keys import TenantKeys

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.keys import SqlKeys


@dataclass(frozen=True, slots=True)
class Administered:
    """All of it in one database."""

    keys: SqlKeyDesk
    tenancy: SqlTenancy
    forgetting: SqlForgetting
    names: SqlNamed
    tiers: SqlTiers
    submissions: SqlSubmissions
    credentials: SqlCredentials
    budgets: SqlBudgets
    audit: SqlAudit
    bodies: SqlBodies


async def open_administered(
    database: Database, keys: SqlKeys, sealer: Sealer, clock: Clock
) -> Administered:
    """What is administered in ``database``."""
    sealing = TenantKeys(database, sealer, clock)
    return Administered(
        SqlKeyDesk(database, keys, clock),
        SqlTenancy(database, clock),
        SqlForgetting(database, clock),
        SqlNamed(database, sealing, clock),
        SqlTiers(database, clock),
        SqlSubmissions(database, sealing, clock),
        SqlCredentials(database, sealing, clock),
        SqlBudgets(database, clock),
        await open_audit(database, sealer, clock),
        SqlBodies(database, sealing),
    )
