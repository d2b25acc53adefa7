"""The admin room's part of the OpenAPI document: FastAPI's own, with what it cannot know put right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_REF = "#/components/schemas/"
_ITS_OWN = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI, summaries: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """``paths`` and ``schemas``; failures and credentials are added by whoever joins the two parts.

    ``summaries`` are the surface's own words for each row.
    """
    made = get_openapi(title="", version="", routes=app.routes)
    paths: dict[str, dict[str, Any]] = {}
    for path, row in made["paths"].items():
        shown = path.replace(":path}", "}")
        for method, operation in row.items():
            words = next(
                (
                    words
                    for (verb, at), words in summaries.items()
                    if verb.lower() == method and at.replace(":path}", "}") == shown
                ),
                None,
            )
            if words is not None:
                operation["summary"] = words
            operation["responses"].pop("422", None)
            operation["operationId"] = _name(method, shown)
            paths.setdefault(shown, {})[method] = operation
    schemas = dict(made.get("components", {}).get("schemas", {}))
    for name in _ITS_OWN:
        schemas.pop(name, None)
    return {"paths": paths, "schemas": schemas}


def _name(method: str, path: str) -> str:
    words = path.replace("{", "by_").replace("}", "").replace("/", "_").replace("-", "_")
    return method + words.replace(".", "_")
