"""Whom a connection trusts, and what a failed handshake means."""

import hashlib
import ssl
from pathlib import Path

import pytest
import trustme

from mailtrip_checks.errors import TlsFailed
from mailtrip_checks.trips import Trust
from mailtrip_checks.wire.tls import TlsContexts, TlsNotOffered, check_fingerprint, tls_failure

WHERE = "mail.example.org:993"
CERTIFICATE = b"a certificate in DER"
FINGERPRINT = hashlib.sha256(CERTIFICATE).hexdigest()


def test_a_context_is_made_once_for_each_way_of_trusting() -> None:
    contexts = TlsContexts()
    assert contexts.for_trust(Trust()) is contexts.for_trust(Trust())
    assert contexts.for_trust(Trust()) is not contexts.for_trust(Trust(verify=False))


def test_the_systems_authorities_are_trusted_and_the_name_is_checked() -> None:
    context = TlsContexts().for_trust(Trust())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_private_authority_is_trusted_besides_the_systems(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    contexts = TlsContexts()
    private, plain = contexts.for_trust(Trust(ca=tmp_path / "ca.pem")), contexts.for_trust(Trust())
    assert private.check_hostname
    assert len(private.get_ca_certs()) == len(plain.get_ca_certs()) + 1


@pytest.mark.parametrize("trust", [Trust(verify=False), Trust(fingerprint=FINGERPRINT)])
def test_without_authorities_the_chain_is_not_checked(trust: Trust) -> None:
    context = TlsContexts().for_trust(trust)
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


@pytest.mark.parametrize("trust", [Trust(), Trust(verify=False)])
def test_no_version_of_tls_that_is_broken_is_spoken(trust: Trust) -> None:
    assert TlsContexts().for_trust(trust).minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_an_authoritys_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    contexts = TlsContexts()
    for _ in range(2):
        with pytest.raises(TlsFailed, match=r"the authority's certificate in .*ca\.pem cannot be used"):
            contexts.for_trust(Trust(ca=path))


def test_the_named_certificate_and_no_other_is_good() -> None:
    check_fingerprint(Trust(fingerprint=FINGERPRINT), CERTIFICATE)
    check_fingerprint(Trust(), CERTIFICATE)
    check_fingerprint(Trust(), None)
    for other in (b"another certificate", b"", None):
        with pytest.raises(TlsFailed, match=FINGERPRINT) as caught:
            check_fingerprint(Trust(fingerprint=FINGERPRINT), other)
        assert hashlib.sha256(other or b"").hexdigest() in caught.value.what
        assert "renewed" in caught.value.advice


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"])
def test_an_answer_in_plain_text_means_that_tls_is_not_offered(reason: str) -> None:
    failure = tls_failure(ssl_error(reason), WHERE)
    assert isinstance(failure, TlsNotOffered)
    assert WHERE in failure.what


@pytest.mark.parametrize(
    "error",
    [
        ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"),
        ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"),
        ssl_error("UNSUPPORTED_PROTOCOL"),
        ssl.SSLError("no reason"),
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        ConnectionResetError(),
        ConnectionAbortedError("SSL handshake is taking longer than 900 seconds"),
        TimeoutError(110, "Connection timed out"),
    ],
    ids=repr,
)
def test_any_other_failure_is_one_and_never_a_reason_to_go_on_without(error: OSError) -> None:
    failure = tls_failure(error, WHERE)
    assert type(failure) is TlsFailed
    assert WHERE in failure.what


def test_a_bad_certificate_is_told_with_openssls_reason() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    failure = tls_failure(error, WHERE)
    assert type(failure) is TlsFailed
    assert failure.what == f"the certificate of {WHERE} is not trusted: certificate has expired"
