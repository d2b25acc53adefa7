"""Dragoman: one gateway between every program that uses AI and every provider that serves it."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
