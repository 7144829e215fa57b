"""A real archive for the tests: Orthanc, alone in a network of its own.

Orthanc of Debian 12 listens on every interface, so it runs where there is none but loopback:

    unshare --net sh -c 'ip link set lo up && python -m tests.dicom.archive SENT RETURNED'

sends the DICOM files below SENT with dcmtk's dcmsend, once more to see that nothing doubles, asks
for everything back by REST and DICOMweb into RETURNED, and prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_HTTP, _DICOM = 8042, 4242
_URL = f"http://127.0.0.1:{_HTTP}"
_DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def missing() -> str:
    """Why there can be no archive here; empty where there can."""
    for program in ("Orthanc", "dcmsend", "unshare", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian packages orthanc, dcmtk)"
    if not _DICOMWEB_PLUGIN.exists():
        return "the DICOMweb plugin of Orthanc is not installed (Debian package orthanc-dicomweb)"
    run = subprocess.run(
        ["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
    )
    return "" if run.returncode == 0 else "no network of its own can be made here (needs root)"


def archived(sent: Path, returned: Path) -> dict[str, Any]:
    """Send a folder to a fresh archive and take everything back.

    Args:
        sent: DICOM files at any depth.
        returned: Folder for what comes back, one file for each instance, named by its UID.
    """
    command = f"ip link set lo up && exec {sys.executable} -m tests.dicom.archive {sent} {returned}"
    run = subprocess.run(
        ["unshare", "--net", "sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def _get(path: str, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(_URL + path, headers={"Accept": accept})  # noqa: S310
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return bytes(answer.read())


def _json(path: str) -> Any:
    return json.loads(_get(path, "application/json"))


@contextmanager
def _running(folder: Path):
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": _HTTP,
        "DicomPort": _DICOM,
        "DicomAet": "ARCHIVE",
        "RemoteAccessAllowed": False,
        "DicomCheckCalledAet": False,
        "Plugins": [str(_DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")],
            stdout=log,
            stderr=log,
            env={**os.environ, "TCP_NODELAY": "1"},  # else every instance waits 50 ms
        )
        try:
            _wait(server, folder / "log")
            yield
        finally:
            server.terminate()
            server.wait(30)


def _wait(server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        try:
            _json("/system")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("Orthanc does not start:\n" + log.read_text()[-2000:])


def _send(folder: Path) -> int:
    """C-STORE of every file; the exit code of dcmsend."""
    options = ("--no-halt", "--scan-directories", "--recurse", "--decompress-never")
    return subprocess.run(
        ["dcmsend", *options, "127.0.0.1", str(_DICOM), str(folder)],
        stdout=sys.stderr,
        check=False,
    ).returncode


def _session(sent: Path, returned: Path) -> dict[str, Any]:
    result: dict[str, Any] = {"sent": _send(sent), "first": _json("/statistics")}
    result["again"], result["second"] = _send(sent), _json("/statistics")
    returned.mkdir(parents=True, exist_ok=True)
    for instance in _json("/instances"):
        uid = _json(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"]
        (returned / f"{uid}.dcm").write_bytes(_get(f"/instances/{instance}/file"))
    result["series"] = [_described(series) for series in _json("/series")]
    return result


def _described(series: str) -> dict[str, Any]:
    """What a viewer asks an archive for: the tags of a series, and its instances over DICOMweb."""
    tags = _json(f"/series/{series}")
    study = _json(f"/series/{series}/study")["MainDicomTags"]["StudyInstanceUID"]
    uid = tags["MainDicomTags"]["SeriesInstanceUID"]
    web = f"/dicom-web/studies/{study}/series/{uid}"
    return {
        **{name: tags["MainDicomTags"].get(name, "") for name in ("Modality", "SeriesDescription")},
        "SeriesInstanceUID": uid,
        "instances": len(tags["Instances"]),
        "metadata": len(_json(f"{web}/metadata")),
        "retrieved": _get(web, 'multipart/related; type="application/dicom"').count(b"DICM"),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made, _running(Path(made)):
        print(json.dumps(_session(Path(sys.argv[1]), Path(sys.argv[2]))))
