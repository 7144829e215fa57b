"""Settings of the ways in: what is received, from whom, and when a study is complete."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.peers import AeTitle, Host, RetrySettings, WebPeer
from ctdenoise.config.secrets import SecretSettings


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("this is no address (10.1.2.3) and no network (10.1.0.0/16)") from None
    return text


Network = Annotated[str, AfterValidator(_network)]


class AllowedSender(Settings):
    """Who may send."""

    ae_title: AeTitle
    """Its calling AE title."""

    addresses: tuple[Network, ...] = ()
    """Addresses or networks that it may call from, such as 10.1.2.3 or 10.1.0.0/16; by default
    any."""


class ReceiverTlsSettings(Settings):
    """TLS of the receiver."""

    certificate: Path
    """Our own certificate (PEM, with the chain behind it)."""

    key: Path | None = None
    """The key of our certificate, PEM; null if it lies in the same file."""

    key_password: SecretSettings | None = None
    """What the key is encrypted with."""

    ca_file: Path
    """Certificates (PEM) of those who may vouch for senders, or the senders' own."""

    client_certificate: Literal["required", "optional"] = "required"
    """Whether a sender must show a certificate. `optional`: the connection is encrypted, and anyone
    may be at its other end."""

    minimum: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS that is spoken."""


class InboxSettings(Settings):
    """How much the inbox takes before it refuses more."""

    instance_mb: int = Field(default=2048, ge=1)
    """Largest instance, MB."""

    study_instances: int = Field(default=20_000, ge=1)
    """Most instances of one study."""

    studies: int = Field(default=20_000, ge=1)
    """Most studies at a time. Those that ended count until they are removed (`retention` of the
    server): a scanner department sends a few hundred a day."""

    free_mb: int = Field(default=2048, ge=0)
    """Free space of the disk below which nothing more is taken, MB. A sender is told that there are
    no resources, keeps what it has, and tries again."""

    durable: bool = True
    """Whether a file is safe from a power cut when its sender is told that it arrived. Switched
    off, only what the system had not yet written is at risk, and receiving is faster."""


class ReceiverSettings(Settings):
    """What listens for DICOM (C-STORE and C-ECHO)."""

    host: Host = "127.0.0.1"
    """Address to listen at. By default only programs of this machine can send; 0.0.0.0 is every
    address of the machine."""

    port: int = Field(default=11112, ge=0, le=65535)
    """TCP port; 0 for any free one."""

    ae_title: AeTitle = "CTDENOISE"
    """Our AE title."""

    called_ae_title: Literal["required", "any"] = "required"
    """Whether a sender must call us by our AE title."""

    senders: tuple[AllowedSender, ...] = ()
    """Who may send; empty for anyone who reaches the port."""

    tls: ReceiverTlsSettings | None = None
    """TLS; by default none."""

    anyone: bool = False
    """Whether the receiver may listen beyond this machine without a list of senders."""

    objects: Literal["all", "ct"] = "all"
    """`all`: everything that a study consists of is taken, so that sending the whole of it does not
    fail; what is no CT image is kept with the study and not processed. `ct`: CT images only; a
    sender is told that it cannot send anything else."""

    associations: int = Field(default=32, ge=1, le=1024)
    """Most connections at a time; one more is refused for the moment."""

    association_timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for a new connection to say what it wants, TLS included, in seconds."""

    idle_timeout_s: float = Field(default=120.0, gt=0)
    """Longest silence within an association, in seconds."""

    pdu_timeout_s: float = Field(default=60.0, gt=0)
    """Longest time for one protocol data unit to arrive, in seconds: a sender slower than a few
    kilobytes per second is cut off."""

    pdu_bytes: int = Field(default=131_072, ge=4096, le=1_048_576)
    """Largest protocol data unit that a sender may send, in bytes."""

    @model_validator(mode="after")
    def _says_who_may_send(self) -> Self:
        if self.senders or self.anyone or _is_loopback(self.host):
            return self
        if self.tls is not None and self.tls.client_certificate == "required":
            return self
        raise ValueError(
            "a receiver that listens beyond this machine needs `senders`, TLS with required client "
            "certificates, or `anyone: true`"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class CompletenessSettings(Settings):
    """When a study is complete."""

    quiet_s: float = Field(default=60.0, gt=0)
    """A study is complete when nothing of it arrived for so long, in seconds. Longer than the
    longest pause of its sender."""

    counted_quiet_s: float = Field(default=5.0, ge=0)
    """The same where a peer was asked how many instances the study has, and so many are here."""

    longest_wait_s: float = Field(default=7200.0, gt=0)
    """A study is worked on at the latest so long after its first new instance, complete or not, in
    seconds. What comes later makes another round with everything."""

    ask_again_s: float = Field(default=30.0, gt=0)
    """How long the answer of a peer to how many instances a study has is believed, in seconds."""

    @model_validator(mode="after")
    def _longest_is_longest(self) -> Self:
        if self.longest_wait_s < self.quiet_s:
            raise ValueError("`longest_wait_s` must not be below `quiet_s`")
        return self


class WatchFolderSettings(Settings):
    """A folder into which others put studies, as folders or single files at any depth."""

    path: Path
    """The folder."""

    sender: AeTitle = "FOLDER"
    """What the rules know these files by, in place of the AE title of a sender."""

    poll_s: float = Field(default=5.0, gt=0)
    """How often is looked, in seconds. A file is taken when it is the same at two looks."""

    marker: str | None = Field(default=None, pattern=r"^[^/\\]{1,100}$")
    """Name of a file, such as .complete, without which a folder directly below is left alone; by
    default none is waited for."""

    sources: Literal["remove", "keep"] = "remove"
    """What becomes of a file that was taken: removed once it is safe in the inbox, or left where it
    is and not taken again as long as it does not change."""

    files_per_look: int = Field(default=20_000, ge=1)
    """Most files to look at each time."""

    depth: int = Field(default=12, ge=1, le=64)
    """How many folders deep files may lie."""


class OrthancSettings(Settings):
    """An Orthanc archive whose new studies are fetched."""

    archive: WebPeer
    """Orthanc: the address of its REST interface, such as http://127.0.0.1:8042, and how to log
    in."""

    sender: AeTitle = "ORTHANC"
    """What the rules know these studies by, in place of the AE title of a sender."""

    poll_s: float = Field(default=5.0, gt=0)
    """How often it is asked for news, in seconds."""

    instances: Literal["dicomweb", "rest"] = "dicomweb"
    """How instances are fetched. `dicomweb`: a series at a time by WADO-RS, much faster; needs the
    DICOMweb plugin. `rest`: one by one."""

    web_root: str = Field(default="/dicom-web", pattern=r"^/[A-Za-z0-9/_-]*$")
    """Where the DICOMweb plugin answers, below the address."""

    start: Literal["now", "beginning"] = "now"
    """Where to begin the first time: with studies that become stable from now on, or with all that
    the archive remembers."""

    changes_per_request: int = Field(default=200, ge=2, le=1000)
    """Most changes to ask for at a time."""

    again: RetrySettings = RetrySettings(
        tries=10, first_wait_s=60, factor=2, longest_wait_s=3600, jitter=0.1
    )
    """How often a study is tried that cannot be taken although the archive answers, while the
    others go on. A try counts if another study was taken since the last one, or the study has more
    instances than `inbox.study_instances`: an archive that gives nothing loses nothing. With these
    numbers a study is given up after about four hours at the earliest."""
