"""The bundled data of the ``genai-prices`` package, without the package.

Importing ``genai_prices`` brings pydantic models and an HTTP client along: 0.3 s and 30 MB
(measured), for data that is one Python module of literals, ``data.py``. That module is
executed here under a name of ours, so that its ``from .types import *`` finds the plain
records of ``types.py`` instead: 9 ms from bytecode, 0.2 s where there is none. If a later
release looks different, the package itself is imported, with the same result.
"""
