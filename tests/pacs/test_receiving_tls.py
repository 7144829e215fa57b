"""With TLS the receiver talks to those who can prove who they are, and to nobody else."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from ctdenoise.errors import SettingsError
from tests.dicom.builders import as_bytes
from tests.pacs.dcmtk import program
from tests.pacs.raw_sender import CT, RawSender, request
from tests.pacs.receiving import data_set_of, one_slice, receiving

ASK = request([(CT, [ExplicitVRLittleEndian])], calling="RAW", called="CTDENOISE", pdu_bytes=16384)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, and certificates of a receiver and a sender."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        try:
            subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")

    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("receiver", "sender", "stranger"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    return folder


def _tls(folder: Path, **changes: str) -> dict[str, str]:
    files = {"certificate": "receiver.pem", "key": "receiver.key", "ca_file": "sender.pem"}
    return {**{name: str(folder / file) for name, file in files.items()}, **changes}


def _encrypted(port: int, folder: Path, name: str | None) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(folder / "receiver.pem")
    if name is not None:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    plain = socket.create_connection(("127.0.0.1", port), 30)
    return context.wrap_socket(plain)


def test_with_tls_only_those_with_a_certificate_of_ours_may_send(
    tmp_path: Path, certificates: Path
) -> None:
    with receiving(tmp_path, tls=_tls(certificates), association_timeout_s=5) as here:
        for name, answer in (("sender", 2), ("stranger", 0), (None, 0)):
            with RawSender(here.port) as sender:
                sender.socket.close()
                try:
                    sender.socket = _encrypted(here.port, certificates, name)
                    sender.send(ASK)
                    assert sender.read()[0] == answer
                except OSError:
                    assert answer == 0
        with RawSender(here.port) as sender:
            sender.send(ASK)  # not encrypted
            assert sender.read()[0] != 2
        dataset = one_slice(size=300)
        with RawSender(here.port) as sender:
            sender.socket.close()
            sender.socket = _encrypted(here.port, certificates, "sender")
            sender.associate()
            assert sender.store(data_set_of(dataset), dataset.SOPInstanceUID) == 0
            assert sender.release() == 6
    assert here.receiver.statistics.refused_associations["tls"] >= 3


def test_who_connects_and_does_not_encrypt_keeps_nobody_waiting(
    tmp_path: Path, certificates: Path
) -> None:
    here = receiving(tmp_path, tls=_tls(certificates))
    with here as running, RawSender(running.port), RawSender(running.port) as sender:
        sender.socket.close()
        sender.socket = _encrypted(running.port, certificates, "sender")
        sender.associate()


def test_dcmtk_sends_over_tls(tmp_path: Path, certificates: Path) -> None:
    file = tmp_path / "slice.dcm"
    file.write_bytes(as_bytes(one_slice()))
    with receiving(tmp_path, tls=_tls(certificates)) as here:
        tls = ["+tls", str(certificates / "sender.key"), str(certificates / "sender.pem")]
        tls += ["+cf", str(certificates / "receiver.pem")]
        done = subprocess.run(
            [
                program("storescu"),
                *tls,
                "-aec",
                "CTDENOISE",
                "127.0.0.1",
                str(here.port),
                str(file),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert len(here.kept) == 1


def test_a_key_that_does_not_fit_is_an_error_in_words(tmp_path: Path, certificates: Path) -> None:
    wrong = _tls(certificates, key=str(certificates / "sender.key"))
    with pytest.raises(SettingsError, match="cannot be used"), receiving(tmp_path, tls=wrong):
        pass
