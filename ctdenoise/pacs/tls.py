"""Encryption of connections that we open."""

from __future__ import annotations

import ssl
from pathlib import Path

from ctdenoise.config.peers import TlsSettings
from ctdenoise.errors import PeerError, PeerRefused, PeerUnavailable, SettingsError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_LOST = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """What Python's ssl module needs to open an encrypted connection.

    Args:
        settings: Whom to trust, and who we are.

    Raises:
        SettingsError: If a certificate or key cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[settings.minimum]
    context.check_hostname = settings.verify and settings.check_host_name
    context.verify_mode = ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE
    if settings.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cafile=settings.ca_file)
        except (OSError, ValueError) as error:
            raise _unreadable(settings.ca_file, "certificates to trust") from error
    if settings.certificate is not None:
        password = "" if settings.key_password is None else settings.key_password.read()
        try:
            # A password is always given, if an empty one: without any, Python asks in a terminal.
            context.load_cert_chain(settings.certificate, settings.key, password=password)
        except (OSError, ValueError) as error:
            raise _unreadable(settings.certificate, "certificate with its key") from error
    return context


def _unreadable(path: Path, what: str) -> SettingsError:
    return SettingsError(
        f"this {what} cannot be used.",
        where=path,
        fix="It must be PEM, readable for this user; a certificate and its key must fit, and an "
        "encrypted key needs key_password.",
    )


def tls_failure(error: ssl.SSLError, peer: str) -> PeerError:
    """What a failure of encryption means.

    Args:
        error: As Python's ssl module raised it.
        peer: The peer, for the message.

    Returns:
        `PeerRefused` where trying again changes nothing; `PeerUnavailable` where the connection was
        lost.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return PeerRefused(
            f"its certificate is not trusted ({error.verify_message}).",
            where=peer,
            fix="Name who vouches for it in tls.ca_file; certificates that name no host need "
            "tls.check_host_name: false.",
        )
    if isinstance(error, _LOST):
        return PeerUnavailable("the encrypted connection was closed by the peer.", where=peer)
    reason = (error.reason or "").replace("_", " ").lower()
    if "alert" in reason:
        return PeerRefused(
            f"it does not accept our side of the encryption ({reason}).",
            where=peer,
            fix="It may want a certificate from us: tls.certificate and tls.key.",
        )
    return PeerRefused(
        f"no encryption could be agreed on ({reason or 'unknown'}).",
        where=peer,
        fix="It may not speak TLS at this port, or only versions below tls.minimum.",
    )
