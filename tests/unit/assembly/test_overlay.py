"""What administrators have stored lies over the file, and never keeps the gateway from serving."""

from __future__ import annotations

import pytest

from dragoman.assembly.assemble import assemble, assemble_stored
from dragoman.catalog.resolve import resolve
from dragoman.catalog.stored import Named, Overlay, StoredProvider
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import CallerError

ENV = {
    "OPENAI_API_KEY": "sk-0123456789012345678901234567890123456789",
    "GROQ_API_KEY": "gsk_0123456789012345678901234567890123456789",
    "OPENROUTER_API_KEY": "sk-or-v1-0123456789012345678901234567890123456789",
}


def settings(**members):
    return Settings(mode="local", _env_file=None, **members)


def meant(built, name):
    found = resolve(name, built.registry, 0.0, asked=True)
    return [f"{each.provider.name}/{each.model}" for each in found]


def keys(built, provider):
    return [each.credential.secret.reveal() for each in built.registry.credentials[provider]]


def test_nothing_stored_changes_nothing():
    said = settings(aliases={"fast": "groq/a"})
    assert assemble(said, ENV, overlay=Overlay()).registry.aliases == {"fast": ("groq/a",)}


def test_a_stored_name_hides_the_files_whichever_kind_it_is():
    said = settings(
        aliases={"fast": "groq/a", "b": "groq/b"}, routes={"smart": {"candidates": ["groq/a"]}}
    )
    overlay = Overlay(
        1,
        (
            Named("alias", "smart", ("openai/x",)),
            Named("route", "fast", ("openai/x", "groq/y"), (1, 3), "weighted"),
        ),
    )
    built = assemble(said, ENV, overlay=overlay)
    assert meant(built, "smart") == ["openai/x"]
    assert meant(built, "fast") == ["openai/x", "groq/y"]
    assert built.registry.routes["fast"].strategy == "weighted"
    assert "smart" not in built.registry.routes
    assert meant(built, "b") == ["groq/b"]
    assert built.settings.aliases == {"fast": "groq/a", "b": "groq/b"}, (
        "the file's stay as they are"
    )


def test_a_stored_providers_members_take_the_place_of_the_files():
    said = settings(
        providers=[
            {"name": "mine", "base_url": "http://a/v1", "credentials": [{"key": "file-key"}]}
        ]
    )
    overlay = Overlay(1, (), (StoredProvider("mine", "http://b/v1", models=("m",)),))
    built = assemble(said, ENV, overlay=overlay)
    assert built.registry.providers["mine"].base_url == "http://b/v1"
    assert keys(built, "mine") == ["file-key"]
    assert built.registry.declared["mine"] == ("m",)
    stored = Overlay(1, (), (StoredProvider("mine"),), {"mine": ("stored-key",)})
    built = assemble(said, ENV, overlay=stored)
    assert (built.registry.providers["mine"].base_url, keys(built, "mine")) == (
        "http://a/v1",
        ["stored-key"],
    )


def test_an_adopted_key_stands_beside_those_of_the_environment():
    overlay = Overlay(1, adopted={"openai": ("sk-adopted", ENV["OPENAI_API_KEY"])})
    assert keys(assemble(settings(), ENV, overlay=overlay), "openai") == [
        ENV["OPENAI_API_KEY"],
        "sk-adopted",
    ]


def test_who_names_a_disabled_provider_is_told_and_gets_nobody_else():
    """OpenRouter has a model of that whole name: it was not asked for."""
    overlay = Overlay(1, (), (StoredProvider("openai", disabled=True),))
    built = assemble(
        settings(aliases={"any": ["openai/gpt-4o-mini", "groq/y"]}), ENV, overlay=overlay
    )
    assert "openai" not in built.registry.providers
    with pytest.raises(CallerError, match="openai is disabled by an administrator") as error:
        meant(built, "openai/gpt-4o-mini")
    assert error.value.status == 404
    assert meant(built, "any") == ["groq/y"]


def test_an_alias_whose_every_provider_is_disabled_says_so():
    overlay = Overlay(1, (), (StoredProvider("openai", disabled=True),))
    built = assemble(settings(aliases={"one": "openai/gpt-4o-mini"}), ENV, overlay=overlay)
    with pytest.raises(CallerError, match="disabled"):
        meant(built, "one")


def test_the_stub_does_not_come_because_everybody_is_disabled():
    off = tuple(StoredProvider(name, disabled=True) for name in ("openai", "groq", "openrouter"))
    assert assemble(settings(), ENV, overlay=Overlay(1, (), off)).registry.providers == {}


def test_what_no_longer_fits_the_file_is_left_out_and_told_and_the_rest_is_in_force():
    overlay = Overlay(
        1,
        (Named("alias", "gone", ("nobody-here/x",)), Named("alias", "good", ("groq/y",))),
        (StoredProvider("mine", "http://b/v1"), StoredProvider("odd")),
    )
    with pytest.raises(ConfigError):
        assemble(settings(), ENV, overlay=overlay)
    built = assemble_stored(settings(), ENV, overlay)
    assert [each.name for each in built.overlay.named] == ["good"]
    assert [each.name for each in built.overlay.providers] == ["mine"]
    assert built.overlay.generation == 1
    assert [told.partition(":")[0] for told in built.refused] == ["provider odd", "alias gone"]
    assert meant(built, "good") == ["groq/y"]


def test_a_wrong_file_is_refused_whatever_is_stored():
    with pytest.raises(ConfigError):
        assemble_stored(
            settings(aliases={"a": "nobody-here/x"}),
            ENV,
            Overlay(1, (Named("alias", "b", ("groq/y",)),)),
        )


def test_names_in_a_circle_through_file_and_store_are_refused():
    overlay = Overlay(1, (Named("alias", "b", ("a",)),))
    with pytest.raises(ConfigError, match="circle"):
        assemble(settings(aliases={"a": "b"}), ENV, overlay=overlay)


def test_an_overlay_shows_no_key():
    overlay = Overlay(1, (), (), {"mine": ("sk-secret",)}, {"openai": ("sk-other",)})
    assert "sk-" not in repr(overlay)
