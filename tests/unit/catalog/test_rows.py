"""What `GET /v1/models` tells is what is routed."""

import msgspec
import pytest

from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import with_stub
from dragoman.catalog.resolve import resolve
from dragoman.catalog.rows import ModelRow, models_list

ENV = {
    "OPENAI_API_KEY": "k",
    "OPENROUTER_API_KEY": "k",
    "MISTRAL_API_KEY": "k",
    "GEMINI_API_KEY": "k",
}


@pytest.mark.req("R-SURF-016")
def test_a_row_has_openais_members_in_openais_order() -> None:
    registry = load_providers({"OPENAI_API_KEY": "k"})
    registry.note_listing("openai", (Listed("gpt-4o", created=5), Listed("new")), 0.0)
    assert msgspec.json.encode(models_list(registry)) == (
        b'[{"id":"auto","object":"model","created":0,"owned_by":"dragoman","name":"auto"},'
        b'{"id":"openai/gpt-4o","object":"model","created":5,"owned_by":"openai","name":"gpt 4o"},'
        b'{"id":"openai/new","object":"model","created":0,"owned_by":"openai","name":"openai/new"}]'
    )


@pytest.mark.req("R-SURF-018")
def test_every_listed_name_is_routable_to_whom_it_says() -> None:
    registry = load_providers(ENV, aliases={"fast": "openai/gpt-4o-mini"})
    rows = models_list(registry)
    assert len(rows) > 500
    assert len({row.id for row in rows}) == len(rows)
    assert any(row.id.startswith("google/") for row in rows)
    for row in rows:
        found = resolve(row.id, registry, 0.0, asked=True)
        assert found[0].known
        if row.id not in {"fast", "auto"}:
            assert row.id == f"{found[0].provider.name}/{found[0].model}"


@pytest.mark.req("R-SURF-016", "R-ADD-036")
def test_aliases_come_first_and_the_stubs_models_have_their_plain_names() -> None:
    registry = with_stub(load_providers({}, aliases={"fast": "openai/gpt-4o-mini"}))
    assert models_list(registry) == [
        ModelRow("openai/gpt-4o-mini", "model", 0, "openai", "openai/gpt-4o-mini"),
        ModelRow("openai/text-embedding-3-small", "model", 0, "openai", "openai/text-embedding-3-small"),
        ModelRow("fast", "model", 0, "dragoman", "fast"),
        ModelRow("auto", "model", 0, "dragoman", "auto"),
    ]  # fmt: skip


@pytest.mark.req("R-SURF-017")
def test_nothing_configured_lists_nothing() -> None:
    assert models_list(load_providers({})) == []


def test_an_alias_that_covers_a_model_is_listed_once() -> None:
    registry = load_providers(ENV, aliases={"openai/gpt-4o": "mistral/mistral-large-latest"})
    assert [row.id for row in models_list(registry)].count("openai/gpt-4o") == 1
