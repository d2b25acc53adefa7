"""Providers: listed, added or changed, disabled and enabled, while serving (R-ADM-001, R-ADD-042)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Response
from msgspec.structs import replace
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing, fits, with_provider, without_provider
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.catalog.keys import mask
from dragoman.catalog.registry import Registry
from dragoman.catalog.stored import StoredProvider
from dragoman.core.errors import CallerError
from dragoman.core.provider import Family

router = room("providers")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ProviderKey = Annotated[
    str, StringConstraints(min_length=8, max_length=2048, pattern=r"^[\x21-\x7e]+$")
]


class ProviderSaid(Strict):
    """A provider to be added or changed."""

    providerId: Name = Field(examples=["corp-vllm"])  # noqa: N815  as R-ADD-042 spells it
    providerBaseUrl: Annotated[  # noqa: N815
        str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[\x21-\x7e]+$")
    ] = Field(examples=["http://10.0.0.7:8000/v1"])
    apiKey: ProviderKey | None = Field(  # noqa: N815
        None, description="Null leaves the key as it is; it is sealed at once and never shown"
    )
    dialect: Family | None = Field(None, description="Null: chat, or what the built-in one speaks")
    models: list[Word] = Field([], max_length=1000, description="Models that it does not list")


class ProviderShown(BaseModel):
    """A provider as it is now."""

    id: str
    base_url: str | None
    dialect: str | None
    source: Literal["built-in", "configuration", "admin"]
    enabled: bool = Field(description="Whether it serves")
    disabled_by: Literal["admin", "failures"] | None
    has_key: bool
    key_preview: str | None = Field(description="Of a key that was stored here")
    models: int
    score: float | None = Field(description="0 to 100")
    breaker: Literal["closed", "open", "half_open"] | None


_BREAKERS: tuple[Literal["closed", "open", "half_open"], ...] = ("closed", "open", "half_open")


class Filter(Asked):
    """Which providers are wanted."""

    enabled: bool | None = None
    source: Literal["built-in", "configuration", "admin"] | None = None


async def shown(desk: Desk) -> dict[str, ProviderShown]:
    """Every provider that is configured, by name."""
    registry, conditions = desk.registry(), desk.conditions()
    stored = {each.name: each for each in await desk.names.providers() if each.is_stored}
    in_file = desk.providers_in_file()
    found: dict[str, ProviderShown] = {}
    for name in sorted({*registry.providers, *stored}):
        provider, own = registry.providers.get(name), stored.get(name)
        condition = conditions.get(name)
        by_admin = own is not None and own.disabled
        failing = condition is not None and condition.disabled
        found[name] = ProviderShown(
            id=name,
            base_url=provider.base_url if provider else own.base_url if own else None,
            dialect=provider.family if provider else _dialect(registry, name),
            source="admin" if own else "configuration" if name in in_file else "built-in",
            enabled=provider is not None,
            disabled_by="admin" if by_admin else "failures" if failing else None,
            has_key=bool(registry.credentials.get(name)) or bool(own and own.key_preview),
            key_preview=(own.key_preview or None) if own else None,
            models=sum(1 for _ in registry.models(name)) if provider else 0,
            score=condition.score if condition else None,
            breaker=_BREAKERS[condition.breaker] if condition else None,
        )
    return found


def _dialect(registry: Registry, name: str) -> str | None:
    definition = registry.definitions.get(name)
    return None if definition is None else definition.family


async def _one(desk: Desk, name: str) -> ProviderShown:
    found = (await shown(desk)).get(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> CallerError:
    return CallerError(
        "not_found", f"No provider {name[:64]!a} is configured.", code="not_found", param="name"
    )


def _plain(found: ProviderShown | None) -> dict[str, object] | None:
    """What the audit log keeps of a provider."""
    if found is None:
        return None
    return found.model_dump(
        include={"base_url", "dialect", "enabled", "disabled_by", "key_preview"}
    )


@router.get("/api/admin/providers")
async def list_providers(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[ProviderShown]:
    """Providers by name; a disabled one is listed as well."""
    after = place_of(asked.cursor, str) or ""
    wanted = [
        each
        for name, each in (await shown(desk)).items()
        if name > after
        and (asked.enabled is None or each.enabled == asked.enabled)
        and (asked.source is None or each.source == asked.source)
    ]
    return page_of(wanted, asked.limit, lambda each: each, lambda each: each.id)


@router.get("/api/admin/providers/{name}")
async def get_provider(desk: DeskOf, name: Name) -> ProviderShown:
    """One of them."""
    return await _one(desk, name)


@router.post("/api/admin/providers", status_code=201, responses={200: {"model": ProviderShown}})
async def put_provider(
    desk: DeskOf, call: CallOf, said: ProviderSaid, response: Response
) -> ProviderShown:
    """Adds a provider (201) or changes one (200); what does not fit the rest is refused as a whole."""
    name, key = said.providerId, said.apiKey
    before = (await shown(desk)).get(name)
    async with changing(desk) as overlay:
        old = _stored(overlay.providers, name)
        new = replace(
            old,
            base_url=said.providerBaseUrl,
            dialect=said.dialect,
            models=tuple(said.models),
            disabled=old.disabled,
            key_preview=mask(key) if key else old.key_preview,
        )
        await fits(desk, with_provider(overlay, new, key))
        async with deed(desk, call, "provider.put", name, before=_plain(before)) as note:
            await desk.names.put_provider(new, key)
            await desk.renew()
            found = await _one(desk, name)
            note.after = _plain(found)
    response.status_code = 201 if before is None else 200
    return found


@router.delete("/api/admin/providers/{name}", status_code=204)
async def delete_provider(desk: DeskOf, call: CallOf, name: Name) -> None:
    """Forgets what was added here; what the file or the environment says is in force again."""
    before = (await shown(desk)).get(name)
    async with changing(desk) as overlay:
        if not any(each.name == name and each.is_stored for each in overlay.providers):
            raise _unknown(name)
        await fits(desk, without_provider(overlay, name))
        async with deed(desk, call, "provider.delete", name, before=_plain(before)):
            await desk.names.remove_provider(name)
            await desk.renew()


@router.post("/api/admin/providers/{name}/disable")
async def disable_provider(desk: DeskOf, call: CallOf, name: Name) -> ProviderShown:
    """Takes it out of service at once, until it is enabled; calls that are under way end as they would."""
    return await _turn(desk, call, name, disabled=True)


@router.post("/api/admin/providers/{name}/enable")
async def enable_provider(desk: DeskOf, call: CallOf, name: Name) -> ProviderShown:
    """Takes it back into service; what its failures had disabled is tried again as well."""
    return await _turn(desk, call, name, disabled=False)


async def _turn(desk: Desk, call: CallOf, name: str, *, disabled: bool) -> ProviderShown:
    before = await _one(desk, name)
    async with changing(desk) as overlay:
        old = _stored(overlay.providers, name)
        new = replace(old, disabled=disabled)
        await fits(desk, with_provider(overlay, new, None))
        action = "provider.disable" if disabled else "provider.enable"
        async with deed(desk, call, action, name, before=_plain(before)) as note:
            if new != old:
                if says_anything(new):
                    await desk.names.put_provider(new, None)
                else:
                    # Nothing else was ever stored of it.
                    await desk.names.remove_provider(name)
                await desk.renew()
            if not disabled:
                desk.acquit(name)
            found = await _one(desk, name)
            note.after = _plain(found)
    return found


def says_anything(new: StoredProvider) -> bool:
    """Whether there is a reason to store it."""
    said = new.base_url or new.models or new.key_preview or new.rotation
    return bool(new.disabled or said)


def _stored(providers: tuple[StoredProvider, ...], name: str) -> StoredProvider:
    return next((each for each in providers if each.name == name), StoredProvider(name))
