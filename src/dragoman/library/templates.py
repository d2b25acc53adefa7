"""What the JSON files begin with: a caller's three, the library's own six (R-CFG-005, 006, 009, 010).

No template holds a key. Its model is written into the caller's own file alone, which the caller reads and
passes on: the library never chooses one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dragoman import __version__

DEFAULT_CONFIG_TEMPLATE: dict[str, Any] = {
    "ai_model": "deepseek/deepseek-chat-v3.1:free",
    "ai_temperature": 0.5,
    "ai_max_tokens": 1500,
    "enabled": True,
}
"""A caller's ``config`` as it is provisioned."""

CONFIG, DATA, LOG = (f"openrouter_skill_{kind}.json" for kind in ("config", "data", "log"))
OWN_CONFIG, OWN_DATA, OWN_LOG = (f"openrouter_{kind}.json" for kind in ("config", "data", "log"))
API_CONFIG, API_DATA, API_LOG = (f"api_{kind}.json" for kind in ("config", "data", "log"))
OPENROUTER = "https://openrouter.ai/api/v1"
PATIENCE_S = 30
"""Of a call, unless ``openrouter_config.json`` says another (R-ENV-016)."""


def moment() -> str:
    """Now, as ISO 8601 of UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def day() -> str:
    """Today, in UTC."""
    return datetime.now(UTC).date().isoformat()


def caller_config() -> dict[str, Any]:
    """``openrouter_skill_config.json``."""
    return {
        "skill_name": "openrouter",
        "timestamp": moment(),
        "config": dict(DEFAULT_CONFIG_TEMPLATE),
    }


def caller_data() -> dict[str, Any]:
    """``openrouter_skill_data.json``."""
    return {"skill_name": "openrouter", "data": {}}


def caller_log() -> dict[str, Any]:
    """``openrouter_skill_log.json``."""
    return {"skill_name": "openrouter", "logs": []}


def own_config() -> dict[str, Any]:
    """``openrouter_config.json``."""
    return {
        "module_name": "openrouter",
        "timestamp": moment(),
        "config": {
            "base_url": OPENROUTER,
            "timeout_seconds": PATIENCE_S,
            "enabled": True,
            "log_requests": True,
            "log_responses": False,
            "auto_provision": True,
        },
    }


def own_data() -> dict[str, Any]:
    """``openrouter_data.json``."""
    return {
        "module_name": "openrouter",
        "data": {
            "total_requests": 0,
            "successful_requests": 0,
            "failed_requests": 0,
            "provisioned_configs": {},
            "callers_tracked": [],
        },
    }


def own_log() -> dict[str, Any]:
    """``openrouter_log.json``."""
    return {"module_name": "openrouter", "logs": []}


def api_config() -> dict[str, Any]:
    """``api_config.json``; an empty key is none."""
    return {
        "skill_name": "api_system",
        "timestamp": moment(),
        "version": __version__,
        "config": {
            "enabled": True,
            "providers": {"openrouter": {"api_key": "", "base_url": OPENROUTER}},
            "default_provider": "openrouter",
            "timeout_seconds": PATIENCE_S,
        },
    }


def api_data() -> dict[str, Any]:
    """``api_data.json``."""
    return {
        "current_session": {"start_time": moment(), "total_requests": 0, "total_cost": 0.0},
        "usage_by_caller": {},
        "daily_totals": {},
        "monthly_totals": {},
    }


def api_log() -> dict[str, Any]:
    """``api_log.json``."""
    return {"logs": []}
