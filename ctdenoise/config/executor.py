"""Settings of what works on many studies: this process, several, or other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class LimitSettings(Settings):
    """What one study may take before its process is stopped; null for no limit.

    They hold in worker processes, here and on other machines; nothing can stop a study that is
    worked on in the process of the program itself.
    """

    seconds: float | None = Field(default=None, gt=0)
    """Time, s. What it wrote so far is taken away."""

    memory_mb: int | None = Field(default=None, ge=64)
    """Memory of its process and of all that it started, MB, without that of program files."""

    file_mb: int | None = Field(default=None, ge=1)
    """Size of one file that it writes, MB."""


class InProcessSettings(Settings):
    """One study after the other in the process of the program itself."""

    name: Literal["in-process"] = "in-process"
    """`in-process`."""


class ProcessesSettings(Settings):
    """Several studies at a time on this machine, in a process each.

    A process that dies loses one study, and says so.
    """

    name: Literal["processes"] = "processes"
    """`processes`."""

    workers: int | None = Field(default=None, ge=1)
    """Studies worked on at a time. Null: one for each GPU that may be used, otherwise half the
    processors."""

    studies_each: int = Field(default=1000, ge=1)
    """Studies after which a process is replaced by a fresh one."""

    grown_mb: int = Field(default=1024, ge=0)
    """A process that holds so much more memory after a study than before its first, MB, is replaced
    by a fresh one."""


class TlsFiles(Settings):
    """Certificates for encrypted connections."""

    ca: Path
    """Certificates of those who may sign that of a peer (PEM)."""

    cert: Path
    """Our own certificate (PEM)."""

    key: Path
    """Its key (PEM)."""


class DistributedSettings(Settings):
    """Many studies at a time on the workers of a Dask scheduler, on any number of machines.

    Everybody who can reach a scheduler can run programs on its workers: keep it in a network that
    is trusted, or use TLS.
    """

    name: Literal["distributed"] = "distributed"
    """The workers of a Dask scheduler."""

    address: Annotated[
        str, Field(pattern=r"^(local:[1-9]\d{0,3}|(tcp|tls|ucx)://[^/\s]+:\d{1,5})$")
    ]
    """Where the scheduler listens: `tcp://host:8786`, `tls://host:8786`; or `local:2` for two
    workers on this machine."""

    tls: TlsFiles | None = None
    """Certificates, for `tls://`."""

    gpu: bool = False
    """Work only on workers that were started with `--resources GPU=1`, on one study for each."""

    connect_s: float = Field(default=30.0, gt=0)
    """How long to wait for the scheduler and for its first worker, s."""

    @model_validator(mode="after")
    def _encrypted_with_files(self) -> Self:
        if self.address.startswith("tls://") != (self.tls is not None):
            raise ValueError("an address tls:// and the files of `tls` go together")
        return self


Place = Annotated[
    InProcessSettings | ProcessesSettings | DistributedSettings, Field(discriminator="name")
]


class ExecutorSettings(Settings):
    """Where studies are worked on, and what each may take."""

    place: Place = InProcessSettings()
    """`in-process`, `processes` or `distributed`."""

    limits: LimitSettings = LimitSettings()
    """What one study may take."""

    threads: int | None = Field(default=None, ge=1)
    """Threads that one study is computed with. Null: the processors shared among the processes of
    this machine; one on a cluster."""

    niceness: int = Field(default=0, ge=0, le=19)
    """How much worker processes give way to other programs of the machine: 19 takes only what
    nobody else wants."""
