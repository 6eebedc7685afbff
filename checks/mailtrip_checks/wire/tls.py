"""TLS contexts, made once a run (a default context costs 35 ms), and what a failed handshake means."""

import hashlib
import hmac
import ssl

from mailtrip_checks.errors import TlsFailed
from mailtrip_checks.trips import Trust

# How OpenSSL calls an answer in plain text. All else is a failure, never a reason to fall back.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


class TlsNotOffered(TlsFailed):
    """The server does not speak TLS here; the `-if-available` modes go on without."""


class TlsContexts:
    """One client context for each way of trusting."""

    def __init__(self) -> None:
        self._contexts: dict[Trust, ssl.SSLContext] = {}

    def for_trust(self, trust: Trust) -> ssl.SSLContext:
        """A client context; raises TlsFailed where the authority's file cannot be used."""
        context = self._contexts.get(trust)
        if context is None:
            context = self._contexts[trust] = _make(trust)
        return context


def _make(trust: Trust) -> ssl.SSLContext:
    if trust.fingerprint is not None or not trust.verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    if trust.ca is not None:
        try:
            context.load_verify_locations(trust.ca)
        except OSError as error:  # ssl.SSLError is one
            raise TlsFailed(f"the authority's certificate in {trust.ca} cannot be used: {error}") from error
    return context


def check_fingerprint(trust: Trust, certificate: bytes | None) -> None:
    """Raise TlsFailed unless the DER certificate is the one that `trust.fingerprint` names, if it names one."""
    if trust.fingerprint is None:
        return
    seen = hashlib.sha256(certificate or b"").hexdigest()
    if not hmac.compare_digest(seen, trust.fingerprint):
        raise TlsFailed(
            f"the server's certificate has the fingerprint sha256:{seen}, not sha256:{trust.fingerprint}",
            advice="If the certificate was renewed, check the new one and write its fingerprint into the definition.",
        )


def tls_failure(error: OSError, where: str) -> TlsFailed:
    """The failure that an error of a handshake with `where` (host:port) stands for.

    `ssl.SSLError` tells apart a bad certificate and a server that answered in plain text. Anything else is the
    connection closed in the middle of the handshake.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(f"the certificate of {where} is not trusted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        reason: str | None = getattr(error, "reason", None)  # which only OpenSSL's own errors have
        if reason in _NOT_TLS:
            return TlsNotOffered(f"{where} does not speak TLS on this port")
        return TlsFailed(f"the TLS handshake with {where} failed: {reason or error}")
    return TlsFailed(f"{where} closed the connection during the TLS handshake")
