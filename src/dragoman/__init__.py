"""Dragoman: one gateway between every program that uses AI and every provider that serves it.

What programs import stands in ``__all__`` and is loaded when it is first asked for: importing the package
brings nothing heavy with it. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = [
    "CallError",
    "Conversation",
    "Reply",
    "__version__",
    "api_call_with_retry",
    "ask",
    "get_ai_model",
    "get_api_key",
    "get_calendar_service",
    "get_drive_service",
    "get_gmail_service",
    "get_google_service",
    "get_response",
    "get_service",
    "get_sheets_service",
    "parallel",
]

_WHERE = {
    "CallError": "library.failures",
    "Conversation": "library.conversation",
    "Reply": "library.answer",
    "api_call_with_retry": "clients.retry",
    "ask": "library.response",
    "get_ai_model": "library.response",
    "get_api_key": "library.keys",
    "get_calendar_service": "clients.google",
    "get_drive_service": "clients.google",
    "get_gmail_service": "clients.google",
    "get_google_service": "clients.google",
    "get_response": "library.response",
    "get_service": "clients.rest",
    "get_sheets_service": "clients.google",
    "parallel": "library.parallel",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415  nothing public but what __all__ says

    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{where}"), name)
