"""What our side of TLS insists on, whatever the environment says."""

import ssl

import trustme

from dragoman.transport.tls import context_of


def pem(authority):
    return authority.cert_pem.bytes()


def test_names_and_certificates_are_checked_and_old_versions_refused():
    context = context_of([pem(trustme.CA())], [])
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_only_the_named_authorities_count():
    one, two = trustme.CA(), trustme.CA()
    assert len(context_of([pem(one)], [pem(two)]).get_ca_certs()) == 2
    assert len(context_of([pem(one)], []).get_ca_certs()) == 1


def test_session_keys_are_written_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert context_of([pem(trustme.CA())], []).keylog_filename is None
    assert not (tmp_path / "keys").exists()


def test_an_authority_may_be_an_intermediate_one():
    """As other clients have it, and as every version of Python has it then."""
    context = context_of([pem(trustme.CA())], [])
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    assert not context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
