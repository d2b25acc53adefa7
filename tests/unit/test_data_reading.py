"""What is taken over from models.json and providers.json."""

import asyncio
import os
import time

import msgspec
import pytest

from dragoman.config.settings import Settings
from dragoman.core.call import Attempt
from dragoman.data_files import models_file, provider_rows, providers_file
from dragoman.data_reading import read_back
from dragoman.file_shapes import ProviderFile, read_shape
from dragoman.live_models import LiveModels
from dragoman.services import open_services
from scripted import candidate

ENV = {
    "OPENAI_API_KEY": "sk-0123456789012345678901234567890123456789",
    "GROQ_API_KEY": "gsk_1234567890",
}
pytestmark = pytest.mark.req("R-PROV-002", "R-STOR-009", "R-ADD-040")


STATE = {"id": "m", "token_generation_speed": None, "response_times": [], "errors": 0}


def row(**members):
    """A file of one provider, of what R-STOR-009 requires and of these members."""
    needed = {"id": "openai", "apiKey": None, "provider_url": "", "models": {}}
    return msgspec.json.encode([needed | members])


def test_what_a_file_says_of_streams_is_no_unless_it_says_yes():
    [read] = read_shape(row(), list[ProviderFile], "here")
    assert not read.streamingCompatible
    assert not read.holds_key
    [read] = read_shape(row(streamingCompatible=True), list[ProviderFile], "here")
    assert read.streamingCompatible


@pytest.mark.parametrize(
    ("said", "holds"),
    [("sk-1", True), ("${OPENAI_API_KEY}", False), ("dragoman.toml", False), ("", False)],
)
def test_where_a_key_is_is_no_key(said, holds):
    [read] = read_shape(row(apiKey=said), list[ProviderFile], "here")
    assert read.holds_key is holds


def kept(folder):
    """The settings of a gateway whose data files stand in the folder."""
    return Settings(
        mode="local",
        dragoman_home=folder / "home",
        api_models_file=folder / "models.json",
        api_providers_file=folder / "providers.json",
    )


def read(tmp_path, change, *, age_s=0.0):
    """The states of providers after files that were changed were read; and the log of it."""

    async def work():
        settings = kept(tmp_path)
        async with open_services(settings, ENV) as services:
            record = Attempt("0", 1, "openai", "gpt-4o-mini", "k", 0.0, 0.0, first_event_s=0.5)
            at = candidate("openai", "gpt-4o-mini")
            services.house.health.completed(at, record, time.monotonic())
            for figures in services.house.health.statistics.places.values():
                figures.new_requests = 0  # the database has it, as at a start
            told = []
            services.log.event = lambda level, what, **more: told.append((what, more))
            files = {
                "models.json": msgspec.json.decode(models_file(LiveModels(services).now())),
                "providers.json": msgspec.json.decode(providers_file(services, {})),
            }
            change(files)
            for name, found in files.items():
                file = tmp_path / name
                file.write_bytes(found if isinstance(found, bytes) else msgspec.json.encode(found))
                os.utime(file, (time.time() - age_s,) * 2)
            await read_back(services, None)
            registry = services.house.registry
            rows = provider_rows(services.house.registry, services.house.health, {})
            states = {each.id: each for each in rows}
            return states, told, registry

    return asyncio.run(work())


def of(files, provider):
    return next(each for each in files["providers.json"] if each["id"] == provider)


def test_the_same_file_changes_nothing(tmp_path):
    states, told, _ = read(tmp_path, lambda files: None)
    assert told == []
    assert states["openai"].models["gpt-4o-mini"].requests == 1
    assert states["openai"].models["gpt-4o-mini"].avg_provider_latency == 500


def test_what_is_other_is_taken_over(tmp_path):
    def change(files):
        of(files, "openai")["models"]["gpt-4o-mini"] |= {
            "requests": 3,
            "errors": 5,
            "error_rate": 0.5,
        }
        of(files, "openai")["models"]["new"] = {**STATE, "id": "new", "disabled": True}
        of(files, "groq")["avg_response_time"] = 1500

    states, told, _ = read(tmp_path, change)
    mini = states["openai"].models["gpt-4o-mini"]
    assert (mini.requests, mini.errors, mini.error_rate) == (5, 5, 0.5)
    assert states["openai"].models["new"].disabled
    assert states["groq"].avg_response_time == 1500
    assert ("providers.json was newer than the database", {"entries": 3}) in told


def test_a_list_is_known_of_whom_it_is_and_where_it_was(tmp_path):
    def change(files):
        for provider in ("openai", "groq"):
            of(files, provider)["models_listed"] = True
        of(files, "groq")["provider_url"] = "http://elsewhere.test"
        files["models.json"]["data"] = [
            {**files["models.json"]["data"][0], "id": f"{provider}/own", "owned_by": provider}
            for provider in ("openai", "groq")
        ]

    _, _, registry = read(tmp_path, change)
    assert list(registry.listings.of("openai")) == ["own"]
    assert registry.listings.of("groq") is None
    assert {each.provider.name for each in registry.listings_due(0.0)} >= {"openai", "groq"}


@pytest.mark.parametrize(
    ("name", "found", "says"),
    [
        ("providers.json", b"[{", "truncated"),
        ("providers.json", b'[{"id": "openai"}]', "missing required field `apiKey` - at `$[0]`"),
        ("providers.json", row(errors=-1), "at `$[0].errors`"),
        ("providers.json", row(provider_score=101), "at `$[0].provider_score`"),
        (
            "providers.json",
            row(models={"a": STATE, "b/c.d": {**STATE, "errors": "2"}}),
            "B/C.D'].errors`",
        ),
        ("providers.json", row(models={"a": {"id": "a", "errors": 0}}), "at `$[0].models['a']`"),
        ("providers.json", row(id="other"), "no provider 'other'"),
        ("providers.json", row(apiKey="hush"), "'openai': apiKey is not read"),
        ("models.json", b'{"data": [{"id": 7}]}', "$.data[0].id"),
        ("models.json", b"\xff", "invalid character"),
    ],
)
def test_what_is_not_taken_over_is_told_and_kept(tmp_path, name, found, says):
    def change(files):
        files[name] = found

    states, told, _ = read(tmp_path, change)
    refused = [more["error"] for what, more in told if what == "data file not taken over"]
    assert len(refused) == 1
    assert says.lower() in refused[0].lower()
    assert "hush" not in refused[0]
    assert (tmp_path / f"{name}.before").read_bytes() == found
    assert "other" not in states


def test_files_that_are_not_there_are_no_trouble(tmp_path):
    (tmp_path / "empty").mkdir()

    async def work():
        settings = kept(tmp_path / "empty")
        async with open_services(settings, ENV) as services:
            await read_back(services, None)
            return await services.record.newest_ms()

    assert asyncio.run(work()) == 0
