"""Peers as people write them on a command line: by the name in a settings file, or as an address.

::

    archive                                      the peer of that name in the settings
    dimse://ARCHIVE@pacs.example.org:104         DIMSE; the called AE title stands before the @
    dimse+tls://ARCHIVE@pacs.example.org:2762    the same, encrypted
    dimse://ARCHIVE@[2001:db8::1]:104?calling=ME our own AE title, if it is not CTDENOISE
    dicomweb+https://host/dicom-web              DICOMweb; https://host/dicom-web is the same
"""

from __future__ import annotations

import difflib
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from ctdenoise.config.load import checked
from ctdenoise.config.peers import DimsePeer, PacsSettings, Peer, WebPeer
from ctdenoise.errors import SettingsError, UsageError

_DIMSE = ("dimse", "dimse+tls")
_WEB = ("dicomweb+http", "dicomweb+https", "http", "https")
_FORMS = "dimse://TITLE@host:port, dimse+tls://TITLE@host:port or https://host/dicom-web"


def find_peer(text: str, settings: PacsSettings) -> DimsePeer | WebPeer:
    """The peer that somebody means.

    Args:
        text: A name in the settings, or an address; see the module.
        settings: Peers that have names.

    Raises:
        UsageError: If it is neither.
        SettingsError: If something in the address is not allowed.
    """
    if "://" in text:
        return peer_of_address(text)
    peer = settings.peers.get(text)
    if peer is not None:
        return peer
    near = difflib.get_close_matches(text, settings.peers, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    names = ", ".join(sorted(settings.peers)) or "none"
    raise UsageError(
        f"no peer is called {text!r}: {hint}known: {names}.",
        fix=f"Name it in a settings file (--config), or give an address: {_FORMS}.",
    )


def peer_of_address(text: str) -> DimsePeer | WebPeer:
    """The peer at an address, with defaults for everything that an address does not say.

    Args:
        text: See the module.

    Raises:
        SettingsError: If it is none; the message does not repeat what may be a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _not_an_address() from None
    if parts.scheme in _DIMSE:
        return _dimse(parts, port)
    if parts.scheme in _WEB:
        url = text.removeprefix("dicomweb+")
        return _web({"url": url})
    raise _not_an_address()


def _dimse(parts: SplitResult, port: int | None) -> DimsePeer:
    title, at, _ = parts.netloc.rpartition("@")
    options = parse_qs(parts.query)
    wrong = not at or ":" in title or parts.path not in ("", "/") or parts.fragment
    if wrong or not parts.hostname or set(options) - {"calling"}:
        raise _not_an_address()
    values: dict[str, Any] = {"host": parts.hostname, "ae_title": unquote(title)}
    if port is not None:
        values["port"] = port
    if "calling" in options:
        values["calling_ae_title"] = options["calling"][-1]
    if parts.scheme == "dimse+tls":
        values["tls"] = {}
    return checked(DimsePeer, values, where="address of the peer")


def _web(values: dict[str, Any]) -> WebPeer:
    return checked(WebPeer, values, where="address of the peer")


def _not_an_address() -> SettingsError:
    return SettingsError(
        "this is not how a peer is written.", where="address of the peer", fix=f"Write {_FORMS}."
    )


def shown(peer: Peer) -> str:
    """A peer in a few words, for messages and records; it holds no secret.

    Args:
        peer: Any peer.
    """
    if isinstance(peer, DimsePeer):
        host = f"[{peer.host}]" if ":" in peer.host else peer.host
        return f"{peer.ae_title}@{host}:{peer.port}"
    return peer.url
