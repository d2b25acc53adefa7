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
    "ask",
    "get_ai_model",
    "get_api_key",
    "get_response",
    "parallel",
]

_WHERE = {
    "CallError": "library.failures",
    "Conversation": "library.conversation",
    "Reply": "library.answer",
    "ask": "library.response",
    "get_ai_model": "library.response",
    "get_api_key": "library.keys",
    "get_response": "library.response",
    "parallel": "library.parallel",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415  nothing public but what __all__ says

    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{where}"), name)
