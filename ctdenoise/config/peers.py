"""Settings of the other end of a connection: PACS, archives and viewers, and how to deal with them.

A peer is spoken to by DIMSE (`kind: dimse`) or by DICOMweb (`kind: dicomweb`).
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.secrets import SecretSettings, unshown

_AE_TITLE_BYTES = 16
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


def _ae_title(text: str) -> str:
    """An application entity title (PS3.5 6.2): printable ASCII without the backslash."""
    if not 0 < len(text) <= _AE_TITLE_BYTES:
        raise ValueError(f"an AE title has 1 to {_AE_TITLE_BYTES} characters")
    if "\\" in text or not (text.isascii() and text.isprintable()):
        raise ValueError("an AE title is made of ASCII letters, digits and signs, no backslash")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is no host name and no address")
    return text


def _web_address(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise unshown("is no web address") from None
    if "@" in parts.netloc:
        raise unshown("holds a user name: say `user` and `password` in lines of their own")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise unshown("is an address such as https://archive.example.org/dicom-web")
    return text.strip().rstrip("/")


AeTitle = Annotated[str, AfterValidator(_ae_title)]
"""An application entity title: at most 16 ASCII characters, no backslash, spaces around it cut."""

Host = Annotated[str, AfterValidator(_host)]
"""A host name or an address."""

WebAddress = Annotated[str, BeforeValidator(_web_address)]
"""An http or https address without a user name, a query or a fragment."""


class TlsSettings(Settings):
    """How a connection is encrypted, and who is trusted."""

    ca_file: Path | None = None
    """Certificates (PEM) of those who may vouch for the peer, or the peer's own. Null: those that
    the operating system trusts."""

    certificate: Path | None = None
    """Our own certificate (PEM, with the chain behind it), for peers that ask for one."""

    key: Path | None = None
    """The key of our certificate (PEM); null if it lies in the same file."""

    key_password: SecretSettings | None = None
    """What the key is encrypted with."""

    check_host_name: bool = True
    """Whether the peer's certificate must name the host that we connect to. Certificates of PACS
    often name none: then name the one certificate in `ca_file` and say false here."""

    verify: bool = True
    """Whether the peer must prove who it is. False encrypts for whoever answers, and is for tests
    only."""

    minimum: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS that is spoken."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.certificate is None and (self.key is not None or self.key_password is not None):
            raise ValueError("a key without a certificate is of no use")
        return self


class TimeoutSettings(Settings):
    """How long to wait for a peer, in seconds, before the connection is cut."""

    connect_s: float = Field(default=10.0, gt=0, le=600)
    """For the connection, with its encryption."""

    association_s: float = Field(default=30.0, gt=0, le=600)
    """For the answer to an association request, and to a release."""

    answer_s: float = Field(default=120.0, gt=0, le=86_400)
    """For the answer to a request: the status of an instance that was sent, the next match or
    sub-operation, the head of an HTTP answer."""

    network_s: float = Field(default=60.0, gt=0, le=3_600)
    """For the next bytes in the midst of a message, in either direction."""


class RetrySettings(Settings):
    """What is tried again after a transient failure, and when.

    Only what may work later is tried again: a peer that cannot be reached, is busy, or was lost.
    The wait grows by `factor` up to `longest_wait_s` and starts afresh after progress.
    """

    tries: int = Field(default=4, ge=1, le=1000)
    """Times in a row that may fail without anything being confirmed, before it is given up."""

    first_wait_s: float = Field(default=2.0, ge=0, le=3_600)
    """Before the second try, seconds."""

    factor: float = Field(default=3.0, ge=1, le=10)
    """By how much each wait is longer than the one before."""

    longest_wait_s: float = Field(default=300.0, ge=0, le=86_400)
    """No wait is longer, seconds."""

    jitter: float = Field(default=0.25, ge=0, le=1)
    """Share by which a wait is made shorter or longer at random, so that many do not come back at
    the same moment."""


class DimsePeer(Settings):
    """A peer that speaks DIMSE: C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE."""

    kind: Literal["dimse"] = "dimse"
    """`dimse`."""

    host: Host
    """Name or address of the machine."""

    port: int = Field(default=104, ge=1, le=65_535)
    """Its port."""

    ae_title: AeTitle
    """Title of the peer (called AE title), at most 16 characters."""

    calling_ae_title: AeTitle = "CTDENOISE"
    """Our own title (calling AE title), which many peers must know."""

    tls: TlsSettings | None = None
    """Encryption; null for none."""

    timeouts: TimeoutSettings = TimeoutSettings()
    """How long to wait."""

    max_pdu: int = Field(default=131_072, ge=0, le=1_048_576)
    """Largest piece (PDU) that we take, bytes; the peer says on its side what it takes. 0 sets no
    limit for the peer; 16 MB are refused all the same."""

    tcp_no_delay: bool = True
    """Send small messages at once (no Nagle algorithm), and on Linux confirm at once what arrives:
    without it every instance may wait 40 ms for the one before."""

    associations: int = Field(default=1, ge=1, le=16)
    """Connections over which instances are sent side by side."""

    most_instance_mb: int = Field(default=2048, ge=1, le=65_536)
    """Largest instance that is taken from the peer by `get`, MB."""

    @model_validator(mode="after")
    def _pdu_holds_something(self) -> Self:
        if 0 < self.max_pdu < 4_096:
            raise ValueError("max_pdu is 0 or at least 4096")
        return self


class WebPeer(Settings):
    """A peer that speaks DICOMweb: QIDO-RS, WADO-RS and STOW-RS."""

    kind: Literal["dicomweb"] = "dicomweb"
    """`dicomweb`."""

    url: WebAddress
    """Where its DICOMweb service starts, such as `https://archive.example.org/dicom-web`."""

    user: Annotated[str, Field(pattern=r"^[^:\s]{1,128}$")] | None = None
    """User name (HTTP Basic)."""

    password: SecretSettings | None = None
    """Password of the user."""

    token: SecretSettings | None = None
    """Bearer token, instead of user and password."""

    allow_plain_secrets: bool = False
    """Whether a password or token may be sent over http, where everybody on the way can read it.
    To this machine itself it always may."""

    tls: TlsSettings = TlsSettings()
    """Encryption of an https address."""

    timeouts: TimeoutSettings = TimeoutSettings()
    """How long to wait; `association_s` does not count here."""

    batch_instances: int = Field(default=50, ge=1, le=1000)
    """Instances in one STOW-RS request, at most."""

    batch_mb: int = Field(default=64, ge=1, le=4096)
    """Size of one STOW-RS request, MB; a larger instance goes alone."""

    most_instance_mb: int = Field(default=2048, ge=1, le=65_536)
    """Largest instance that is taken from the peer, MB."""

    @model_validator(mode="after")
    def _identity_is_safe(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("give both `user` and `password`, or neither")
        if self.token is not None and self.user is not None:
            raise ValueError("give a token, or user and password")
        secret = self.token is not None or self.user is not None
        if secret and not self.allow_plain_secrets and not _is_private(self.url):
            raise ValueError(
                "a password or token is not sent over http: use https, "
                "or say allow_plain_secrets: true"
            )
        return self


Peer = Annotated[DimsePeer | WebPeer, Field(discriminator="kind")]
"""The other end of a connection, told apart by `kind`."""

PeerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""What a peer is called in settings and on the command line."""


class PacsSettings(Settings):
    """Settings of `pacs`: peers by name, and how often to try again."""

    peers: dict[PeerName, Peer] = Field(default={})
    """Peers by name: letters, digits, dots, dashes and underscores."""

    retry: RetrySettings = RetrySettings()
    """What to do after a transient failure."""


def _is_private(url: str) -> bool:
    """Whether nobody can listen on the way to an address."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
