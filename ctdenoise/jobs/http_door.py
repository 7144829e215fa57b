"""What the HTTP server stands behind: its address, its certificate, its token."""

from __future__ import annotations

import os
import re
import socket
import ssl

from ctdenoise.config.http import HttpSettings
from ctdenoise.errors import UsageError

_SHORTEST_TOKEN = 16
_LONGEST_TOKEN = 1024


def required_token(settings: HttpSettings) -> str | None:
    """The token that readers must show; None where none is asked for.

    Raises:
        UsageError: If it cannot be read, or is too weak.
    """
    if settings.token_file is not None:
        where = str(settings.token_file)
        try:
            with settings.token_file.open("rb") as file:
                raw = file.read(_LONGEST_TOKEN + 2)
        except OSError as error:
            raise UsageError(
                f"the token cannot be read ({error.strerror}).",
                where=where,
                fix="Let `http.token_file` name a file that this user can read.",
            ) from error
        text = raw.decode("utf-8", "replace").strip()
    elif settings.token_environment is not None:
        where = f"environment variable {settings.token_environment}"
        text = os.environ.get(settings.token_environment, "").strip()
    else:
        return None
    if not (_SHORTEST_TOKEN <= len(text) <= _LONGEST_TOKEN) or not re.fullmatch("[!-~]+", text):
        raise UsageError(
            f"the token must be {_SHORTEST_TOKEN} to {_LONGEST_TOKEN} letters, digits and signs "
            "of ASCII, without spaces.",
            where=where,
            fix="Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return text


def tls_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """What encrypts, TLS 1.2 or later; None where nothing is encrypted.

    Raises:
        UsageError: If the certificate and its key cannot be used.
    """
    if settings.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls.certificate, settings.tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise UsageError(
            "the certificate and its key cannot be used: "
            f"{getattr(error, 'strerror', None) or error}.",
            where=settings.tls.certificate,
            fix="Give `http.tls.certificate` and `http.tls.key` as PEM files that fit each other, "
            "the key without a password.",
        ) from error
    return context


def _no_password() -> str:
    """Instead of asking on the terminal, which nobody watches."""
    raise ValueError("the key has a password")


def listening_socket(settings: HttpSettings) -> socket.socket:
    """A socket that listens and never blocks.

    Raises:
        UsageError: If the address is not ours or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(settings, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings, error) from error
    return listener


def _cannot_listen(settings: HttpSettings, error: OSError) -> UsageError:
    return UsageError(
        f"the status page cannot listen on {settings.host}, port {settings.port} "
        f"({error.strerror or error}).",
        where="http.host, http.port",
        fix="Choose an address of this machine and a port that is free (0 finds one).",
    )
