"""What the replaced systems' files did is done here, whatever the files are called (R-FILE-001, R-FILE-002)."""

from __future__ import annotations

from importlib import import_module

import pytest

DONE_BY = {
    "public exports": "dragoman:get_response",
    "entry, discovery and routing of commands": "dragoman.cli.main:run",
    "keys: get": "dragoman.credentials.lookup:get_api_key",
    "keys: get, by programs": "dragoman:get_api_key",
    "keys: validate": "dragoman.catalog.keys:wrong_form",
    "keys: store": "dragoman.credentials.key_store:FileKeys.put",
    "environment loading": "dragoman.config.load:environment",
    ".env template": "dragoman.credentials.key_store:template",
    "provider configuration": "dragoman.catalog.load:load_providers",
    "Google: tokens": "dragoman.credentials.fresh:FreshToken.current",
    "Google: services": "dragoman:get_google_service",
    "Google: retry": "dragoman:api_call_with_retry",
    "JSON: log of operations": "dragoman.library.own:note_operation",
    "OpenRouter: the request": "dragoman.library.inside:Inside.ask",
    "OpenRouter: who calls": "dragoman.library.place:detect",
    "OpenRouter: client": "dragoman.library.openrouter:OpenRouterClient.get_response",
    "OpenRouter: models": "dragoman.cli.commands.models:models",
    "OpenRouter: provisioning": "dragoman.library.provision:provision",
    "usage: tracking": "dragoman.library.openrouter:APIUsageTracker.track_usage",
    "usage: of a call": "dragoman.library.own:note_call",
    "keys, by the older name": "dragoman.library.openrouter:APIConnect.get_api_key",
    "the caller's model": "dragoman:get_ai_model",
    "conversations": "dragoman:Conversation.say",
    "tools beside each other": "dragoman:parallel",
}


@pytest.mark.req("R-FILE-001", "R-FILE-002", "R-CLI-018", "R-ADD-001", "R-ADD-002")
@pytest.mark.parametrize("what", DONE_BY)
def test_what_was_done_elsewhere_is_done_here(what):
    module, _, path = DONE_BY[what].partition(":")
    found = import_module(module)
    for step in path.split("."):
        found = getattr(found, step)
    assert callable(found)
    assert found.__doc__


@pytest.mark.req("R-FILE-002")
def test_the_template_has_its_name():
    from dragoman.library.openrouter import DEFAULT_CONFIG_TEMPLATE

    assert DEFAULT_CONFIG_TEMPLATE["ai_model"]
