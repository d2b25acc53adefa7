"""Whose certificates are trusted: the machine's authorities, and one file of the operator's.

Both clients are given the same list, read from the system's file and not through
``SSL_CERT_FILE`` or ``SSL_CERT_DIR``: an environment does not decide who may read a
provider's key (F11). An authority of one's own is named in the configuration.
"""

from __future__ import annotations

from pathlib import Path

SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


def authorities(tls_ca: Path | None, system_files: tuple[str, ...] = SYSTEM_FILES) -> bytes | None:
    """The trusted certificates as PEM; None where the system has no such file.

    Then the client's own way to the system's authorities is left in charge, the operator's
    file being added to it.
    """
    for name in system_files:
        try:
            pem = Path(name).read_bytes()
        except OSError:
            continue
        return pem if tls_ca is None else pem + b"\n" + tls_ca.read_bytes()
    return None
