"""``dragoman import json``: what ``dragoman export`` has written, and AnyGPT's files of the same names.

All files are read and judged before one of them is used. Keys go into the database, tiers, providers and
models to where a start reads them, whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.audit.chain import Deed
from dragoman.audit.noting import noted
from dragoman.config.data_files import FileName, data_file, write_data_file
from dragoman.core.call import Role
from dragoman.core.clock import SystemClock
from dragoman.core.errors import CallerError, invalid
from dragoman.file_shapes import (
    KEYS_OBJECT,
    KeysFile,
    LegacyKey,
    ModelsFile,
    ProviderFile,
    Tier,
    read_shape,
)
from dragoman.stores import open_store

if TYPE_CHECKING:
    from sqlalchemy import Table

    from dragoman.config.settings import Settings
    from dragoman.store.engine import Database
    from dragoman.store.sql.keys import SqlKeys

FILES: tuple[FileName, ...] = ("tiers.json", "providers.json", "models.json", "keys.json")
ROLES: dict[str, Role] = {"admin": "admin", "tenant_admin": "tenant_admin"}
_USAGE = frozenset({"request_count", "token_usage"})
"""Told for people; the ledger is the record of it."""


class Taken(Struct):
    """What was done, and what was left and why."""

    done: list[str]
    left: list[str]


async def read_folder(settings: Settings, folder: Path, tenant: str) -> Taken:
    """Takes over the files that are in the folder; what becomes of keys stands in the audit log.

    Raises:
        GatewayError: there is none, or one of them is not of its shape; nothing was changed.
    """
    texts = {name: _text(folder / name) for name in FILES}
    there = {name: text for name, text in texts.items() if text is not None}
    if not there:
        raise invalid(f"{folder} holds none of {', '.join(FILES)}.")
    places: dict[FileName, bytes] = {}
    from dragoman.store.sql.audit import open_audit  # noqa: PLC0415  SQL only where it is needed

    taken = Taken([], [])
    if text := there.get("tiers.json"):
        tiers = read_shape(text, dict[str, Tier], str(folder / "tiers.json"))
        # Tiers that were stored elsewhere are the file's here.
        bare = {name: replace(each, stored_ms=None, hides=None) for name, each in tiers.items()}
        places["tiers.json"] = msgspec.json.encode(bare)
        taken.done.append(f"tiers.json: {len(tiers)} tiers.")
    if text := there.get("providers.json"):
        places["providers.json"] = _providers(text, str(folder / "providers.json"), taken)
    if text := there.get("models.json"):
        models = read_shape(text, ModelsFile, str(folder / "models.json"))
        places["models.json"] = msgspec.json.encode(models)
        taken.done.append(f"models.json: {len(models.data)} models.")
    keys = there.get("keys.json")
    listed = None if keys is None else _keys(keys, str(folder / "keys.json"))
    _write(settings, places)
    if listed is not None:
        async with open_store(settings) as (database, stored, sealer):
            audit = await open_audit(database, sealer, SystemClock())
            begun = Deed("api_key.import", "keys.json", "*", "-", "-", "begun")
            before = len(taken.done)
            async with noted(begun, audit.append, audit.append) as note:
                if isinstance(listed, KeysFile):
                    await _take_rows(listed, database, stored, taken)
                else:
                    await _take_raw(listed, stored, tenant, taken)
                note.after = taken.done[before:]
    if places and settings.data_source_preference != "filesystem":
        taken.left.append(
            f"{', '.join(str(data_file(settings, name)) for name in places)} are in place: providers.json and "
            "models.json are read at a start with DATA_SOURCE_PREFERENCE=filesystem."
        )
    return taken


def _text(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise invalid(f"{path} cannot be read: {error.strerror}.") from None


def _providers(text: bytes, where: str, taken: Taken) -> bytes:
    """The providers without their keys, whatever stood there."""
    providers = read_shape(text, list[ProviderFile], where)
    if raw := [each.id for each in providers if each.holds_key]:
        taken.left.append(
            f"providers.json holds keys of {', '.join(raw)}, which are not taken over: "
            "`dragoman import anygpt` makes a dragoman.toml that asks for them by variables."
        )
    bare = [replace(each, apiKey=None) for each in providers]
    taken.done.append(f"providers.json: {len(bare)} providers, without their keys.")
    return msgspec.json.encode(bare)


def _write(settings: Settings, files: Mapping[FileName, bytes]) -> None:
    for name, data in files.items():
        path = data_file(settings, name)
        try:
            write_data_file(path, data)
        except OSError as error:
            raise invalid(f"{path} cannot be written: {error.strerror}.") from None


# --------------------------------------------------------------------------- keys


def _keys(text: bytes, where: str) -> KeysFile | dict[str, LegacyKey]:
    members = read_shape(text, dict[str, msgspec.Raw], where)
    if bytes(members.get("object", b"")) == msgspec.json.encode(KEYS_OBJECT):
        file = read_shape(text, KeysFile, where)
        for number, row in enumerate(file.data):
            if not isinstance(row.get("id"), str) or not isinstance(row.get("tenant"), str):
                raise invalid(f"{where}: key {number + 1} needs an id and a tenant.")
        return file
    legacy = {}
    for number, (key, raw) in enumerate(members.items(), 1):
        # A failure names the key by its number: its name is the secret.
        legacy[key] = read_shape(bytes(raw), LegacyKey, f"{where}, key {number}")
    return legacy


async def _take_rows(file: KeysFile, database: Database, keys: SqlKeys, taken: Taken) -> None:
    """Keys of another Dragoman; only those whose digests came with them, and open here."""
    from dragoman.store.sql.key_rows import (  # noqa: PLC0415  SQL only where it is needed
        known_columns,
        pepper_marks,
        put_key_rows,
    )
    from dragoman.store.sql.scope_text import scopes_in  # noqa: PLC0415

    marks = pepper_marks(keys.peppers)
    columns = known_columns()
    known = {record.id for record in await keys.list()}
    rows: list[dict[str, Any]] = []
    for said in file.data:
        name = f"key {said['id']} of {said.get('name', '')!r}"
        version = said.get("pepper_version")
        if said["id"] in known:
            taken.left.append(f"{name}: it is stored already, and was left as it is.")
            continue
        if "digest" not in said:
            taken.left.append(
                f"{name}: its digest is not in the file (dragoman export --with-digests)."
            )
            continue
        here = next(
            (v for v, mark in marks.items() if mark == file.peppers.get(str(version))), None
        )
        if here is None:
            taken.left.append(
                f"{name}: it was made under another database's pepper, and would open nothing here; "
                "`dragoman db backup` and `db restore` carry the pepper too."
            )
            continue
        former, version = said.get("previous_digest"), said.get("previous_pepper_version")
        there = next(
            (v for v, mark in marks.items() if mark == file.peppers.get(str(version))), None
        )
        strange = said.keys() - columns - _USAGE
        if strange:
            taken.left.append(
                f"{name}: {', '.join(sorted(strange))} are not known to this version."
            )
        row = {member: value for member, value in said.items() if member in columns}
        row |= {"digest": _digest(said["digest"], name), "pepper_version": int(here)}
        row["scopes"] = scopes_in(said.get("scopes"))
        keeps = former is not None and there is not None
        row["previous_digest"] = _digest(former, name) if keeps else None
        row["previous_pepper_version"] = int(there) if keeps and there is not None else None
        rows.append(row)
    places = _places(file)
    taken.left.extend(await _other_places(database, places))
    made = await put_key_rows(database, rows, places)
    refused = [row["id"] for row in rows if row["id"] not in made]
    taken.left.extend(f"key {name}: the same key or user is stored already." for name in refused)
    taken.done.append(f"keys.json: {len(made)} keys.")


def _places(file: KeysFile) -> list[tuple[Table, dict[str, Any]]]:
    """The tenants and projects of the file, as rows of their tables."""
    from dragoman.store.sql.scope_text import scopes_in  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.tenancy_tables import projects, tenants  # noqa: PLC0415

    found: list[tuple[Table, dict[str, Any]]] = []
    for table, listed, own in (
        (tenants, file.tenants, ("id", "name")),
        (projects, file.projects, ("tenant", "id", "name")),
    ):
        for said in listed:
            if not all(isinstance(said.get(member), str) for member in own) or not isinstance(
                said.get("created_ms"), int
            ):
                needed = ", ".join(own)
                raise invalid(
                    f"keys.json: each of its {table.name} needs {needed} and created_ms."
                )
            row = {member: said.get(member) for member in table.columns.keys()}  # noqa: SIM118
            found.append((table, {**row, "scopes": scopes_in(said.get("scopes"))}))
    return found


async def _other_places(
    database: Database, places: list[tuple[Table, dict[str, Any]]]
) -> list[str]:
    """The tenants and projects that are there and bound their keys in another way than the file says."""
    from sqlalchemy import select  # noqa: PLC0415  SQL only where it is needed

    told = []
    async with database.read() as connection:
        for table, place in places:
            same = [column == place[column.name] for column in table.primary_key]
            found = (await connection.execute(select(table).where(*same))).mappings().first()
            if found is not None and any(
                found[member] != place[member] for member in ("scopes", "suspended_ms")
            ):
                name = "/".join(place[column.name] for column in table.primary_key)
                told.append(
                    f"{table.name} {name}: it is there with another scope or state, and was left as it is."
                )
    return told


def _digest(said: Any, name: str) -> bytes:
    try:
        digest = bytes.fromhex(said)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != 32:
        raise invalid(f"keys.json, {name}: its digest is not 32 bytes as hexadecimal digits.")
    return digest


async def _take_raw(
    file: Mapping[str, LegacyKey], keys: SqlKeys, tenant: str, taken: Taken
) -> None:
    """Raw keys of AnyGPT's; stored as digests, and told by their numbers alone."""
    from dragoman.store.sql.keys import NewKey  # noqa: PLC0415  SQL only where it is needed

    made = 0
    for number, (key, user) in enumerate(file.items(), 1):
        name = f"keys.json, key {number} of {user.userId!r}"
        role = ROLES.get(user.role, "user")
        new = NewKey(user.userId, tenant, role, user_id=user.userId, tier=user.tier)
        try:
            await keys.store(key, new)
        except CallerError as error:
            taken.left.append(f"{name}: {error.message}")
            continue
        made += 1
        if user.role not in ROLES and user.role != "user":
            taken.left.append(f"{name}: there is no role {user.role!r}; it is a user's key now.")
        if user.tokenUsage or user.requestCount:
            taken.left.append(
                f"{name}: what it has used ({user.tokenUsage} tokens, {user.requestCount} requests) is no "
                "call of the ledger's, and is not carried over."
            )
    taken.done.append(f"keys.json: {made} keys, as digests. Delete the file: it holds them raw.")
