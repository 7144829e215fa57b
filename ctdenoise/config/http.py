"""Settings of the small HTTP server of `serve`: health, metrics and the status page."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names under which a machine calls itself."""


class HttpTlsSettings(Settings):
    """Certificate that the server shows."""

    certificate: Path
    """File with the certificate and those that signed it, PEM."""

    key: Path
    """File with its private key, PEM, without a password; nobody else should be able to read it."""


class HttpSettings(Settings):
    """Where health, metrics and the status page are served, to whom, and what they show."""

    enabled: bool = True
    """`false`: no HTTP server at all."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. Only this machine can reach the default. Any other address needs `tls`
    and a token, or `insecure`."""

    port: int = Field(default=8112, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and says which."""

    tls: HttpTlsSettings | None = None
    """Encrypts; needed on any address but loopback."""

    token_file: Path | None = None
    """File that holds the token, a password that a reader must show: as `Authorization: Bearer
    TOKEN`, or as the password that a browser asks for, with any user name. At least 16 characters;
    `/health` and `/ready` answer without it, in one word."""

    token_environment: str | None = None
    """Name of an environment variable that holds the token instead."""

    insecure: bool = False
    """`true`: listen beyond this machine without a token or without TLS, because something in front
    takes care of both."""

    allowed_hosts: tuple[str, ...] = ()
    """Host names under which the server is called, besides its own address, such as the name that a
    reverse proxy passes on. A request that names another host is refused, so that a web page that
    someone visits on this machine cannot read from here."""

    connections: int = Field(default=16, ge=1, le=256)
    """Requests that are worked on at once; further ones are turned away."""

    timeout_s: float = Field(default=10.0, gt=0)
    """Time for one request from its first byte to the last of the answer, seconds."""

    refresh_s: int = Field(default=30, ge=0)
    """How often the status page loads itself again, seconds; 0 for never."""

    rows: int = Field(default=50, ge=1, le=1000)
    """The most jobs in a table of the status page."""

    show_thumbnails: bool = True
    """Whether the page shows a small picture of a slice before and after. A picture names nobody,
    but it is a picture of a patient."""

    show_descriptions: bool = False
    """Whether the page shows descriptions of series. They are free text and often hold more than
    they should, up to names: they count as patient data."""

    show_patient: bool = False
    """Whether the page of one job names the patient. Needs a token."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host.lower() in LOOPBACK_NAMES:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def has_token(self) -> bool:
        """Whether a reader must show a token."""
        return self.token_file is not None or self.token_environment is not None

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.token_file is not None and self.token_environment is not None:
            raise ValueError("give `token_file` or `token_environment`, not both")
        if (self.show_patient or self.show_descriptions) and not self.has_token:
            raise ValueError(
                "`show_patient` and `show_descriptions` need a token (`token_file` or "
                "`token_environment`), so that only people who may see it do"
            )
        if self.is_loopback or self.insecure:
            return self
        if self.tls is None or not self.has_token:
            raise ValueError(
                f"`host: {self.host}` can be reached from other machines: give `tls` and a token "
                "(`token_file` or `token_environment`), keep to 127.0.0.1, or say `insecure: true` "
                "where something in front takes care of both"
            )
        return self
