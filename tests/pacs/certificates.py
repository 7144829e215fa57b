"""Certificates for tests, made when they are needed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Authority:
    """Somebody who vouches for others.

    Args:
        folder: Where the files are.
        name: First part of their names.
    """

    folder: Path
    name: str

    @property
    def certificate(self) -> Path:
        """What is trusted."""
        return self.folder / f"{self.name}.pem"

    def vouches_for(self, name: str, alternative: str = "IP:127.0.0.1,DNS:localhost") -> Path:
        """A certificate, its key in the same file.

        Args:
            name: Of its holder.
            alternative: What it is for; empty for a certificate that names no host.
        """
        key, request = self.folder / f"{name}.key", self.folder / f"{name}.csr"
        out = self.folder / f"{name}.crt"
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", f"/CN={name}",
                 "-out", request)  # fmt: skip
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n" if alternative else "")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey",
                 self.folder / f"{self.name}.key", "-set_serial", "17", "-days", "2", "-extfile",
                 extensions, "-out", out)  # fmt: skip
        both = self.folder / f"{name}.pem"
        both.write_text(out.read_text() + key.read_text())
        return both


def authority(folder: Path, name: str = "authority") -> Authority:
    """A new authority; the test is skipped where there is no openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / f"{name}.key",
             "-subj", f"/CN={name}", "-days", "2", "-out", folder / f"{name}.pem")  # fmt: skip
    return Authority(folder, name)


def _openssl(*arguments: object) -> None:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
