"""A real archive for the tests: Orthanc, alone in a network of its own.

Orthanc of Debian 12 listens on every interface, so it runs where there is none but loopback, as
`command` says. It sends the DICOM files below a folder with dcmtk's dcmsend, once more to see that
nothing doubles, asks for everything back by REST and by DICOMweb, and prints what happened as JSON.
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


def command(sent: Path, returned: Path, scratch: Path) -> list[str]:
    """What runs an archive: in a network and among processes of its own.

    With the first of these processes all of them end, however it ends.

    Args:
        sent, returned: See `archived`.
        scratch: An existing folder for the archive's own files.
    """
    inside = 'ip link set lo up && exec "$@"'
    shut_in = ["unshare", "--net", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", inside, "sh"]
    program = [sys.executable, "-m", "tests.dicom.archive"]
    return [*shut_in, *program, str(sent), str(returned), str(scratch)]


def archived(sent: Path, returned: Path) -> dict[str, Any]:
    """Send a folder to a fresh archive and take everything back.

    Args:
        sent: DICOM files at any depth.
        returned: Folder for what comes back, one file for each instance, named by its UID; in its
            folder `wado` the same as WADO-RS gives it, in `metadata` and `qido` what DICOMweb tells
            about each series.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            command(sent, returned, Path(scratch)),
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
            server.kill()  # nothing that it holds is needed any more
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
    for name in ("wado", "metadata", "qido"):
        (returned / name).mkdir(parents=True, exist_ok=True)
    for instance in _json("/instances"):
        uid = _json(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"]
        (returned / f"{uid}.dcm").write_bytes(_get(f"/instances/{instance}/file"))
    result["series"] = [_described(series, returned) for series in _json("/series")]
    return result


def _described(series: str, returned: Path) -> dict[str, Any]:
    """What a viewer asks an archive for: the tags of a series, and its instances over DICOMweb."""
    tags = _json(f"/series/{series}")
    study = _json(f"/series/{series}/study")["MainDicomTags"]["StudyInstanceUID"]
    uid = tags["MainDicomTags"]["SeriesInstanceUID"]
    web = f"/dicom-web/studies/{study}/series/{uid}"
    metadata = _json(f"{web}/metadata")
    (returned / "metadata" / f"{uid}.json").write_text(json.dumps(metadata))
    answers = {
        "study": _json(f"/dicom-web/studies?StudyInstanceUID={study}&includefield=all"),
        "series": _json(f"/dicom-web/studies/{study}/series?SeriesInstanceUID={uid}"),
        "instances": _json(f"{web}/instances"),
    }
    (returned / "qido" / f"{uid}.json").write_text(json.dumps(answers))
    parts = _parts(_get(web, 'multipart/related; type="application/dicom"; transfer-syntax=*'))
    for number, part in enumerate(parts):
        (returned / "wado" / f"{uid}_{number}.dcm").write_bytes(part)
    return {
        **{name: tags["MainDicomTags"].get(name, "") for name in ("Modality", "SeriesDescription")},
        "SeriesInstanceUID": uid,
        "instances": len(tags["Instances"]),
        "metadata": len(metadata),
        "retrieved": len(parts),
    }


def _parts(body: bytes) -> list[bytes]:
    """The files in an answer of several parts (RFC 2046 5.1), whose first line is the boundary."""
    boundary = b"\r\n" + body[: body.index(b"\r\n")]
    parts = (b"\r\n" + body).split(boundary)[1:-1]
    return [part.split(b"\r\n\r\n", 1)[1] for part in parts]


if __name__ == "__main__":
    with _running(Path(sys.argv[3])):
        print(json.dumps(_session(Path(sys.argv[1]), Path(sys.argv[2]))))
