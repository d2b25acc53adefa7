"""Model strings in the order of D12, and plain words where nothing fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import Registry, with_stub
from dragoman.catalog.resolve import LONGEST, ListingsNeeded, resolve
from dragoman.core.errors import CallerError

pytestmark = pytest.mark.req("R-ROUTE-001")
ENV = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
BOTH = load_providers(
    {**ENV, "OPENROUTER_API_KEY": "k", "GEMINI_API_KEY": "k", "OLLAMA_HOST": "127.0.0.1"},
    served=frozenset({"chat", "anthropic"}),
    aliases={
        "fast": "openai/gpt-4o-mini",
        "smart": ["anthropic/claude-sonnet-4-5", "fireworks/x", "fast"],
        "twice": ["fast", "fast"],
        "lost": "fireworks/x",
        "openai/shadow": "anthropic/claude-haiku-4-5",
    },
)
MISTRAL = {"MISTRAL_API_KEY": "k"}
RESELLER = load_providers({"OPENROUTER_API_KEY": "k"})


def names(model: object, registry: Registry = BOTH) -> list[tuple[str, str, bool]]:
    found = resolve(model, registry, 0.0, asked=True)
    assert not isinstance(found, ListingsNeeded)
    return [(item.provider.name, item.model, item.known) for item in found]


def refusal(model: object, registry: Registry = BOTH) -> CallerError:
    with pytest.raises(CallerError) as caught:
        resolve(model, registry, 0.0, asked=True)
    return caught.value


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4o", [("openai", "gpt-4o", True)]),
        ("openai/gpt-4o--x12", [("openai", "gpt-4o--x12", False)]),
        (" openai/gpt-4o ", [("openai", "gpt-4o", True)]),
        ("openai/never/heard of", [("openai", "never/heard of", False)]),
        ("openrouter/anthropic/claude-3.5-sonnet", [("openrouter", "anthropic/claude-3.5-sonnet", True)]),
        ("anthropic/claude-sonnet-4-5", [("anthropic", "claude-sonnet-4-5", True)]),
        ("openai:gpt-4o", [("openai", "gpt-4o", True)]),
        ("openai:ft:gpt-4o:x", [("openai", "ft:gpt-4o:x", False)]),
        ("openai:a/b", [("openai", "a/b", False)]),
        ("gpt-4o", [("openai", "gpt-4o", True)]),
        ("claude-sonnet-4-5-20250929", [("anthropic", "claude-sonnet-4-5-20250929", True)]),
        ("meta-llama/llama-3.3-70b-instruct", [("openrouter", "meta-llama/llama-3.3-70b-instruct", True)]),
        ("fast", [("openai", "gpt-4o-mini", True)]),
        ("smart", [("anthropic", "claude-sonnet-4-5", True), ("openai", "gpt-4o-mini", True)]),
        ("twice", [("openai", "gpt-4o-mini", True)]),
        ("openai/shadow", [("anthropic", "claude-haiku-4-5", True)]),
    ],
)  # fmt: skip
def test_a_string_means_one_thing(model, expected) -> None:
    assert names(model) == expected


def test_without_the_provider_itself_its_name_is_a_part_of_a_resellers_id() -> None:
    assert names("openai/gpt-4o", RESELLER) == [("openrouter", "openai/gpt-4o", True)]


def test_a_colon_in_an_id_splits_nothing_unless_a_provider_stands_before_it() -> None:
    registry = load_providers({"OLLAMA_HOST": "127.0.0.1"})
    registry.note_listing("ollama", (Listed("llama3.2:3b"), Listed("ollama3:x")), 0.0)
    assert names("llama3.2:3b", registry) == [("ollama", "llama3.2:3b", True)]
    assert names("ollama3:x", registry) == [("ollama", "ollama3:x", True)]
    assert names("ollama:llama3.2:3b", registry) == [("ollama", "llama3.2:3b", True)]


def test_of_several_catalogues_the_first_in_order_serves() -> None:
    env = {"GROQ_API_KEY": "k", "TOGETHER_API_KEY": "k"}
    for order in (["groq", "together"], ["together", "groq"]):
        registry = load_providers(env, provider_order=order)
        for name in env:
            registry.note_listing(name.partition("_")[0].lower(), (Listed("shared"),), 0.0)
        assert names("shared", registry) == [(order[0], "shared", True)]


def test_an_unknown_bare_name_asks_stale_listings_once() -> None:
    registry = load_providers(ENV)
    found = resolve("brand-new", registry, 0.0)
    assert isinstance(found, ListingsNeeded)
    assert [item.provider.name for item in found.requests] == ["openai", "anthropic"]
    registry.note_listing("openai", (Listed("brand-new"),), 0.0)
    registry.fail_listing("anthropic", 0.0)
    assert names("brand-new", registry) == [("openai", "brand-new", True)]
    with pytest.raises(CallerError):
        resolve("other", registry, 1.0)


def test_after_asking_an_unknown_name_is_not_found_even_where_nobody_told_the_result() -> None:
    with pytest.raises(CallerError, match="No configured provider"):
        resolve("brand-new", load_providers(ENV), 0.0, asked=True)


def test_what_is_not_there_is_404_with_the_three_nearest() -> None:
    error = refusal("claude-sonet-4-5")
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert error.details is not None
    assert len(error.details["nearest"]) == 3
    assert error.details["nearest"][0] == "anthropic/claude-sonnet-4-5"
    assert "nearest: anthropic/claude-sonnet-4-5, " in error.message


def test_a_provider_without_a_key_is_named_with_the_variable_to_set() -> None:
    error = refusal("groq/llama-3.3-70b-versatile", load_providers(ENV))
    assert "groq is not configured (set GROQ_API_KEY)" in error.message
    ollama = refusal("ollama/llama3", load_providers(ENV))
    assert "ollama is not configured (set OLLAMA_BASE_URL)" in ollama.message


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            "claude-sonnet-4-5",
            "anthropic, which has it, is not configured (set ANTHROPIC_API_KEY)",
        ),
        (
            "claude-sonnet-4-5-20990101",
            "anthropic, which has it, is not configured (set ANTHROPIC_API_KEY)",
        ),
        ("gpt-4o-mini", "openai, which has it, is not configured (set OPENAI_API_KEY)"),
        ("llama-3.3-70b-versatile", "groq, which has it, is not configured (set GROQ_API_KEY)"),
    ],
)
def test_a_bare_id_of_a_provider_without_a_key_names_the_variable_to_set(model, told) -> None:
    for registry in (load_providers({}), with_stub(load_providers({})), load_providers(MISTRAL)):
        error = refusal(model, registry)
        assert (error.status, error.code) == (404, "model_not_found")
        assert told in error.message


def test_a_bare_id_that_is_the_stubs_but_for_its_provider_has_the_stubs_as_nearest() -> None:
    told = refusal("gpt-4o-mini", with_stub(load_providers({}))).details
    assert told is not None
    assert told["nearest"][0] == "openai/gpt-4o-mini"


def test_on_the_router_of_a_provider_without_a_key_the_variable_is_named() -> None:
    with pytest.raises(CallerError) as caught:
        resolve("claude-of-tomorrow", load_providers(MISTRAL), 0.0, asked=True, home="anthropic")
    assert (
        "anthropic, whose router this is, is not configured (set ANTHROPIC_API_KEY)"
        in caught.value.message
    )


def test_a_name_of_nobody_names_no_variable_where_a_provider_is_configured() -> None:
    assert "(set " not in refusal("of-nobody", load_providers(MISTRAL)).message


def test_a_provider_whose_dialect_is_not_served_says_so_and_is_not_replaced() -> None:
    for model in ("google/gemini-2.5-pro", "google:gemini-2.5-pro"):
        error = refusal(model)
        assert error.status == 404
        assert "google is configured, but it speaks gemini" in error.message


def test_with_nothing_configured_the_answer_says_what_to_do() -> None:
    error = refusal("of-nobody", load_providers({}))
    assert (
        "no provider is configured: set a provider's key such as OPENAI_API_KEY" in error.message
    )
    assert error.details is None


def test_a_name_that_only_an_alias_without_a_home_has_is_not_found() -> None:
    assert refusal("lost").status == 404


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        (None, "missing_required_field", "The request names no model"),
        (7, "invalid_field_type", "model must be a string, not int."),
        (["a"], "invalid_field_type", "model must be a string, not list."),
        ("", "invalid_field_value", "model is empty"),
        ("  ", "invalid_field_value", "model is empty"),
        ("openai/", "invalid_field_value", "names openai but no model of it"),
        ("openai: ", "invalid_field_value", "names openai but no model of it"),
        ("x" * (LONGEST + 1), "invalid_field_value", "513 characters"),
    ],
)
def test_what_is_no_model_string_is_400_and_says_so(model, code, said) -> None:
    error = refusal(model)
    assert (error.status, error.code, error.param) == (400, code, "model")
    assert said in error.message


@pytest.mark.req("R-ROUTE-001")
def test_auto_is_every_model_unless_the_operator_says_otherwise() -> None:
    everything = names("auto")
    assert ("openai", "gpt-4o", True) in everything
    assert len({provider for provider, *_ in everything}) > 1
    aliased = load_providers(ENV, aliases={"auto": "openai/gpt-4o"})
    assert names("auto", aliased) == [("openai", "gpt-4o", True)]


def test_a_long_name_is_not_echoed_whole() -> None:
    error = refusal("y" * 400)
    assert "y" * 80 + "…" in error.message
    assert "y" * 81 not in error.message


def test_the_stubs_models_are_the_stubs_even_where_openai_is_configured() -> None:
    registry = with_stub(BOTH)
    assert names("openai/gpt-4o-mini", registry) == [("stub", "openai/gpt-4o-mini", True)]
    assert names("openai/gpt-4o", registry) == [("openai", "gpt-4o", True)]
    assert names("stub/openai/gpt-4o-mini", registry) == [("stub", "openai/gpt-4o-mini", True)]


ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.lists(st.text())
    | st.builds(
        "{}{}{}".format,
        st.sampled_from(["openai", "openrouter", "google", "groq", "stub", "fast", ""]),
        st.sampled_from(["/", ":", ""]),
        st.text(max_size=20),
    )
)


@given(ANY)
def test_anything_is_served_or_refused_as_the_callers_error(model) -> None:
    try:
        found = resolve(model, BOTH, 0.0, asked=True)
    except CallerError as error:
        found = error
    if isinstance(found, CallerError):
        assert found.status in {400, 404}
        assert found.param == "model"
    else:
        assert not isinstance(found, ListingsNeeded)
        assert found
        assert all(item.provider.name in BOTH.providers and item.model for item in found)


def at(home, model, registry=BOTH, *, asked=True):
    return resolve(model, registry, 0.0, asked=asked, home=home)


@pytest.mark.parametrize(
    ("home", "model", "expected"),
    [
        (
            "openrouter",
            "anthropic/claude-3.5-sonnet",
            ("openrouter", "anthropic/claude-3.5-sonnet"),
        ),
        ("openrouter", "anthropic/claude-sonnet-4-5--x1", ("anthropic", "claude-sonnet-4-5--x1")),
        ("openrouter", "gpt-4o", ("openai", "gpt-4o")),
        ("anthropic", "claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("anthropic", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("anthropic", "fast", ("openai", "gpt-4o-mini")),
        ("groq", "gpt-4o", ("openai", "gpt-4o")),
    ],
)
def test_on_a_router_its_provider_comes_first_for_what_it_knows(home, model, expected):
    (found,) = at(home, model)
    assert (found.provider.name, found.model) == expected


def test_a_tag_that_is_not_said_is_the_newest():
    registry = load_providers({"OLLAMA_HOST": "127.0.0.1"})
    registry.note_listing("ollama", (Listed("llama3.2:latest"), Listed("llama3.2:3b")), 0.0)
    for home in ("ollama", None):
        for said, meant in (("llama3.2", "llama3.2:latest"), ("llama3.2:3b", "llama3.2:3b")):
            (found,) = at(home, said, registry)
            assert (found.provider.name, found.model) == ("ollama", meant)
        with pytest.raises(CallerError):
            at(home, "llama3.2:1b", registry)


def test_a_routers_provider_is_asked_for_its_list_before_another_gets_its_model():
    registry = load_providers({**ENV, "OPENROUTER_API_KEY": "k"})
    model = "anthropic/claude-of-tomorrow"
    needed = at("openrouter", model, registry, asked=False)
    assert isinstance(needed, ListingsNeeded)
    assert [item.provider.name for item in needed.requests] == ["openrouter"]
    (found,) = at("openrouter", model, registry)
    assert found.provider.name == "anthropic"
    registry.note_listing("openrouter", (Listed(model),), 0.0)
    (found,) = at("openrouter", model, registry, asked=False)
    assert (found.provider.name, found.model) == ("openrouter", model)
    # Its own name says it, whatever is listed.
    (found,) = at("anthropic", model, registry, asked=False)
    assert found.provider.name == "anthropic"
