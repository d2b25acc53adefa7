"""Aliases and named routes: added, changed and removed while serving, before those of the configuration file.

Two nouns of one kind, so that each is written once: an alias is tried in the order of its targets, a route
chooses among its candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Query, Response
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing, fits, with_named, without_named
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.catalog.stored import Kind, Named, alias_value, route_table
from dragoman.core.call import Call
from dragoman.core.errors import CallerError
from dragoman.core.provider import Strategy

router = room("names")

NameSaid = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")
]
Target = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]


class AliasBody(Strict):
    """What an alias stands for."""

    targets: list[Target] = Field(
        min_length=1, max_length=16, examples=[["groq/llama-3.3-70b-versatile"]]
    )


class AliasSaid(AliasBody):
    """A new alias."""

    name: NameSaid = Field(examples=["fast"])


class Candidate(Strict):
    """A model and its share."""

    model: Target
    weight: int = Field(1, ge=1, le=1_000_000)


class RouteBody(Strict):
    """Among which models a route chooses, and how."""

    candidates: list[Target | Candidate] = Field(
        min_length=1,
        max_length=16,
        examples=[["anthropic/claude-sonnet-4-5", "openai/gpt-5-mini"]],
    )
    strategy: Strategy | None = Field(None, description="Null: in the order of the candidates")


class RouteSaid(RouteBody):
    """A new route."""

    name: NameSaid = Field(examples=["smart"])


class NameShown(BaseModel):
    """A name as it is now."""

    name: str
    source: Literal["admin", "configuration"]
    in_force: bool = Field(
        description="False where the configuration was changed so that it no longer fits"
    )
    hides_configuration: bool = Field(
        description="The file has this name as well, and is not asked"
    )
    created_at: float | None = Field(description="Unix seconds")
    changed_at: float | None


class AliasShown(NameShown):
    """An alias as it is now."""

    targets: list[str]


class RouteShown(NameShown):
    """A route as it is now."""

    candidates: list[Candidate]
    strategy: str | None


_S = TypeVar("_S", bound=NameShown)


# --------------------------------------------------------------------------- both kinds


def _frame(desk: Desk, named: Named) -> dict[str, Any]:
    forced = desk.overlay().named
    said = desk.said_in_file()
    same = any((each.kind, each.name, each.tenant) == _key(named) for each in forced)
    return {
        "name": named.name,
        "source": "admin",
        "in_force": same,
        "hides_configuration": any(named.name in names for names in said.values()),
        "created_at": named.created_ms / 1000,
        "changed_at": named.changed_ms / 1000,
    }


def _key(named: Named) -> tuple[str, str, str]:
    return named.kind, named.name, named.tenant


def _filed(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "source": "configuration",
        "in_force": True,
        "hides_configuration": False,
        "created_at": None,
        "changed_at": None,
    }


def _alias(desk: Desk, named: Named) -> AliasShown:
    return AliasShown(**_frame(desk, named), targets=list(named.targets))


def _route(desk: Desk, named: Named) -> RouteShown:
    weights = named.weights or (1,) * len(named.targets)
    candidates = [
        Candidate(model=model, weight=weight)
        for model, weight in zip(named.targets, weights, strict=True)
    ]
    return RouteShown(**_frame(desk, named), candidates=candidates, strategy=named.strategy)


def _filed_alias(name: str, said: Any) -> AliasShown:
    return AliasShown(**_filed(name), targets=[said] if isinstance(said, str) else list(said))


def _filed_route(name: str, said: Any) -> RouteShown:
    candidates = [
        Candidate(model=each, weight=1) if isinstance(each, str) else Candidate(**each)
        for each in said.get("candidates", ())
    ]
    return RouteShown(**_filed(name), candidates=candidates, strategy=said.get("strategy"))


def _plain(named: Named | None) -> Any:
    """What the audit log keeps of a name."""
    if named is None:
        return None
    return alias_value(named) if named.kind == "alias" else route_table(named)


async def _stored(desk: Desk, kind: Kind) -> dict[str, Named]:
    overlay = await desk.names.overlay()
    return {each.name: each for each in overlay.named if each.kind == kind and not each.tenant}


async def _put(desk: Desk, call: Call, new: Named, *, replaces: bool) -> tuple[Named, bool]:
    """Stores a name and puts it in force; whether it is new."""
    async with changing(desk) as overlay:
        old = next((each for each in overlay.named if _key(each) == _key(new)), None)
        other: Kind = "route" if new.kind == "alias" else "alias"
        if any(_key(each) == (other, new.name, new.tenant) for each in overlay.named):
            raise CallerError(
                "conflict",
                f"There is a stored {other} of the name {new.name!a}: remove it first.",
                code="conflict",
                param="name",
            )
        if old is not None and not replaces:
            raise CallerError(
                "conflict",
                f"There is an {new.kind} of the name {new.name!a} already: change it with PUT.",
                code="conflict",
                param="name",
            )
        await fits(desk, with_named(overlay, new))
        async with deed(desk, call, f"{new.kind}.put", new.name, before=_plain(old)) as note:
            found = await desk.names.put(new)
            await desk.renew()
            note.after = _plain(found)
    return found, old is None


async def _remove(desk: Desk, call: Call, kind: Kind, name: str) -> None:
    async with changing(desk) as overlay:
        old = next((each for each in overlay.named if _key(each) == (kind, name, "")), None)
        if old is None:
            raise _unknown(desk, kind, name)
        await fits(desk, without_named(overlay, old))
        async with deed(desk, call, f"{kind}.delete", name, before=_plain(old)):
            await desk.names.remove(kind, name)
            await desk.renew()


def _unknown(desk: Desk, kind: Kind, name: str) -> CallerError:
    there = name in desk.said_in_file().get(kind, {})
    why = "; the one of the configuration file is changed there" if there else ""
    return CallerError(
        "not_found", f"No {kind} {name[:64]!a} is stored{why}.", code="not_found", param="name"
    )


class Filter(Asked):
    """Which names are wanted."""

    source: Literal["admin", "configuration"] | None = None


async def _page(
    desk: Desk,
    asked: Filter,
    kind: Kind,
    shown: Callable[[Desk, Named], _S],
    filed: Callable[[str, Any], _S],
) -> Listed[_S]:
    """Names by the alphabet; a stored one hides the file's."""
    after = place_of(asked.cursor, str) or ""
    rows = {name: filed(name, said) for name, said in desk.said_in_file()[kind].items()}
    stored = await _stored(desk, kind)
    rows |= {name: shown(desk, named) for name, named in stored.items()}
    wanted = [
        rows[name]
        for name in sorted(rows)
        if name > after and asked.source in {None, rows[name].source}
    ]
    return page_of(wanted, asked.limit, lambda each: each, lambda each: each.name)


async def _one(
    desk: Desk,
    name: str,
    kind: Kind,
    shown: Callable[[Desk, Named], _S],
    filed: Callable[[str, Any], _S],
) -> _S:
    """A stored name, else the file's."""
    found = await desk.names.get(kind, name)
    if found is not None:
        return shown(desk, found)
    said = desk.said_in_file()[kind].get(name)
    if said is None:
        raise _unknown(desk, kind, name)
    return filed(name, said)


# --------------------------------------------------------------------------- aliases


@router.get("/api/admin/aliases")
async def list_aliases(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[AliasShown]:
    """Aliases by the alphabet, those of the configuration file as well."""
    return await _page(desk, asked, "alias", _alias, _filed_alias)


@router.post("/api/admin/aliases", status_code=201)
async def add_alias(desk: DeskOf, call: CallOf, said: AliasSaid) -> AliasShown:
    """Adds an alias; one that is stored already is a 409, one of the file is hidden."""
    new = Named("alias", said.name, tuple(said.targets))
    return _alias(desk, (await _put(desk, call, new, replaces=False))[0])


@router.get("/api/admin/aliases/{name:path}")
async def get_alias(desk: DeskOf, name: Word) -> AliasShown:
    """One alias, stored or of the configuration file."""
    return await _one(desk, name, "alias", _alias, _filed_alias)


@router.put("/api/admin/aliases/{name:path}", responses={201: {"model": AliasShown}})
async def put_alias(
    desk: DeskOf, call: CallOf, name: NameSaid, said: AliasBody, response: Response
) -> AliasShown:
    """Adds an alias (201), or takes the place of one (200)."""
    new = Named("alias", name, tuple(said.targets))
    found, fresh = await _put(desk, call, new, replaces=True)
    response.status_code = 201 if fresh else 200
    return _alias(desk, found)


@router.delete("/api/admin/aliases/{name:path}", status_code=204)
async def delete_alias(desk: DeskOf, call: CallOf, name: Word) -> None:
    """Removes a stored alias; the file's of that name is in force again."""
    await _remove(desk, call, "alias", name)


# --------------------------------------------------------------------------- routes


def named_route(name: str, said: RouteBody) -> Named:
    """The route that was said, as it is stored."""
    legs = [
        each if isinstance(each, Candidate) else Candidate(model=each, weight=1)
        for each in said.candidates
    ]
    weights = tuple(each.weight for each in legs)
    return Named(
        "route",
        name,
        tuple(each.model for each in legs),
        weights if set(weights) != {1} else (),
        said.strategy,
    )


@router.get("/api/admin/routes")
async def list_routes(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[RouteShown]:
    """Named routes by the alphabet, those of the configuration file as well."""
    return await _page(desk, asked, "route", _route, _filed_route)


@router.post("/api/admin/routes", status_code=201)
async def add_route(desk: DeskOf, call: CallOf, said: RouteSaid) -> RouteShown:
    """Adds a route; one that is stored already is a 409, one of the file is hidden."""
    new = named_route(said.name, said)
    return _route(desk, (await _put(desk, call, new, replaces=False))[0])


@router.get("/api/admin/routes/{name:path}")
async def get_route(desk: DeskOf, name: Word) -> RouteShown:
    """One route, stored or of the configuration file."""
    return await _one(desk, name, "route", _route, _filed_route)


@router.put("/api/admin/routes/{name:path}", responses={201: {"model": RouteShown}})
async def put_route(
    desk: DeskOf, call: CallOf, name: NameSaid, said: RouteBody, response: Response
) -> RouteShown:
    """Adds a route (201), or takes the place of one (200)."""
    found, fresh = await _put(desk, call, named_route(name, said), replaces=True)
    response.status_code = 201 if fresh else 200
    return _route(desk, found)


@router.delete("/api/admin/routes/{name:path}", status_code=204)
async def delete_route(desk: DeskOf, call: CallOf, name: Word) -> None:
    """Removes a stored route; the file's of that name is in force again."""
    await _remove(desk, call, "route", name)
