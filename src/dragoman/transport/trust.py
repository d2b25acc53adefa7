"""Whose certificates are trusted: the machine's authorities, and one file of the operator's.

All clients are given the same list, read from the system's file and not through
``SSL_CERT_FILE`` or ``SSL_CERT_DIR``: an environment does not decide who may read a
provider's key (F11). An authority of one's own is named in the configuration.
"""

from __future__ import annotations

import re
from pathlib import Path

SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def authorities(
    tls_ca: Path | None, system_files: tuple[str, ...] = SYSTEM_FILES
) -> tuple[list[bytes], list[bytes]]:
    """The system's trusted certificates and the operator's, one PEM block each.

    Where the system has no such file its list is empty, and the client's own way to the
    system's authorities is left in charge. One block each, because ry keeps the whole text
    with every certificate of a bundle: 32 MB for the usual 144.
    """
    own = _blocks(tls_ca) if tls_ca is not None else []
    if tls_ca is not None and not own:
        raise ValueError(
            f"The file of upstream authorities {str(tls_ca)!r} holds no certificate in PEM form."
        )
    for name in system_files:
        try:
            found = _blocks(Path(name))
        except OSError:
            continue
        if found:
            return found, own
    return [], own


def _blocks(file: Path) -> list[bytes]:
    return _BLOCK.findall(file.read_bytes())
