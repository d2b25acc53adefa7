"""The bundled data is read without its package, and gives what the package gives."""

import gc
import subprocess
import sys

import pytest

from dragoman.catalog.genai import bundled


def test_reading_the_data_brings_neither_the_package_nor_a_client_along() -> None:
    code = (
        "import sys; from dragoman.catalog.genai.bundled import read_bundled; "
        "assert len(read_bundled()) > 20; "
        "print([name for name in ('genai_prices', 'pydantic', 'httpx2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_records_hold_what_the_package_holds() -> None:
    import genai_prices.data

    ours = {provider.id: provider for provider in bundled.read_bundled()}
    theirs = {provider.id: provider for provider in genai_prices.data.providers}
    assert ours.keys() == theirs.keys()
    for name, provider in ours.items():
        assert [item.id for item in provider.models] == [item.id for item in theirs[name].models]
    assert type(ours["openai"]).__module__ == "dragoman.catalog.genai.types"


def test_a_release_of_another_form_is_read_by_its_own_import(monkeypatch) -> None:
    monkeypatch.setattr(bundled, "_OURS", "dragoman.catalog.genai.gone")
    found = bundled.read_bundled()
    assert type(found[0]).__module__ == "genai_prices.types"


def test_without_the_package_the_import_says_so(monkeypatch) -> None:
    monkeypatch.setattr(bundled.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        bundled._execute()
    assert caught.value.args == ("genai_prices",)


def test_a_place_that_holds_no_module_is_no_data(monkeypatch) -> None:
    monkeypatch.setattr(bundled.importlib.util, "spec_from_file_location", lambda *_: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        bundled._execute()
    assert caught.value.args == ("dragoman.catalog.genai.data",)


def test_collecting_goes_on_as_before() -> None:
    assert gc.isenabled()
    bundled.read_bundled()
    assert gc.isenabled()
    gc.disable()
    try:
        bundled.read_bundled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_source_of_a_price_says_package_and_version(monkeypatch) -> None:
    assert bundled.bundled_version().startswith("genai-prices 0.")

    def gone(_: str) -> str:
        raise bundled.PackageNotFoundError

    monkeypatch.setattr(bundled, "version", gone)
    assert bundled.bundled_version() == "genai-prices"
