"""Base64 as callers send it, brought into its standard form (P78)."""

from __future__ import annotations

import binascii

from dragoman.core.errors import invalid


def standard(data: str, at: str, what: str = "file") -> tuple[str, bytes]:
    """Standard padded base64, and the first bytes behind it.

    White space, letters of the URL's alphabet and missing padding are put right.

    Raises:
        CallerError: it is no base64; says of ``what`` the bytes had to be.
    """
    try:
        return data, binascii.a2b_base64(data, strict_mode=True)[:16]
    except ValueError:
        pass
    clean = "".join(data.split()).replace("-", "+").replace("_", "/").rstrip("=")
    clean += "=" * (-len(clean) % 4)
    try:
        return clean, binascii.a2b_base64(clean, strict_mode=True)[:16]
    except ValueError:
        raise invalid(
            f"{at} is no valid base64; send the {what}'s bytes in base64.", at, "invalid_base64"
        ) from None
