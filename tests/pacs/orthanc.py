"""A piece of test code beside a running Orthanc, in a network that nobody else is in.

Orthanc of Debian 12 listens on every interface, so it runs where there is none but loopback. The
code that talks to it runs there, too::

    def work(orthanc, folder):            # a function of a module, with plain JSON in and out
        ...
        return {"instances": orthanc.json("/statistics")["CountInstances"]}

    def test_something(beside_orthanc, tmp_path):
        result = beside_orthanc(work, folder=tmp_path, settings={"StableAge": 1})

Orthanc speaks DIMSE as ARCHIVE on port 4242 and DICOMweb at http://127.0.0.1:8042/dicom-web.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.dicom.archive import missing

__all__ = ["Orthanc", "missing", "run_beside_orthanc"]

ROOT = Path(__file__).parents[2]
HTTP, DICOM, TITLE = 8042, 4242, "ARCHIVE"
WEB = f"http://127.0.0.1:{HTTP}/dicom-web"
_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


class Orthanc:
    """A running archive, as the code beside it sees it.

    Args:
        folder: For its files; existing.
        settings: Settings that differ from those of the tests, as its JSON has them.
        environment: Environment variables for it.
    """

    url = f"http://127.0.0.1:{HTTP}"
    web = WEB
    dimse = f"dimse://{TITLE}@127.0.0.1:{DICOM}"

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.settings = {
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "HttpPort": HTTP,
            "DicomPort": DICOM,
            "DicomAet": TITLE,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "Plugins": [_PLUGIN],
            "DicomWeb": {"Enable": True},
            **settings,
        }
        # Without TCP_NODELAY every instance that it receives waits 50 ms.
        self.environment = {"TCP_NODELAY": "1", **(environment or {})}
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        file, log = self.folder / "orthanc.json", self.folder / "orthanc.log"
        file.write_text(json.dumps(self.settings))
        with log.open("a") as output:
            self._server = subprocess.Popen(
                ["Orthanc", str(file)],
                stdout=output,
                stderr=output,
                env={**os.environ, **self.environment},
            )
        until = time.monotonic() + 60
        while self._server.poll() is None and time.monotonic() < until:
            try:
                self.json("/system")
            except urllib.error.HTTPError:  # it answers, and wants to know who asks
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError("Orthanc does not start:\n" + log.read_text()[-2000:])

    def stop(self) -> None:
        """Let it vanish, as by a power cut; what it stored stays."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(30)
            self._server = None

    def get(self, path: str, accept: str = "*/*") -> bytes:
        """What it answers to a path of its REST interface."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return bytes(answer.read())

    def json(self, path: str) -> Any:
        """The same, parsed."""
        return json.loads(self.get(path, "application/json"))

    def post(self, path: str, body: bytes) -> Any:
        """Post some bytes (such as a DICOM file to /instances) and parse the answer."""
        request = urllib.request.Request(self.url + path, data=body, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.loads(answer.read())

    def store(self, folder: Path) -> int:
        """Put every file below a folder into it, by REST; how many."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            self.post("/instances", path.read_bytes())
        return len(files)

    def instances(self) -> dict[str, bytes]:
        """The file of every instance that it holds, by SOPInstanceUID."""
        found = {}
        for instance in self.json("/instances"):
            uid = self.json(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"]
            found[uid] = self.get(f"/instances/{instance}/file")
        return found


def run_beside_orthanc(
    work: Callable[..., Any],
    *,
    settings: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300,
    **arguments: Any,
) -> Any:
    """Call a function beside a fresh Orthanc, and return what it returns.

    Args:
        work: A function of a module below the project's folder. Its first argument is the running
            `Orthanc`; the others, and what it returns, are plain JSON, except that paths arrive
            as paths.
        settings: Settings of Orthanc that differ.
        environment: Environment variables of Orthanc that differ.
        timeout_s: After that long everything is killed.
        arguments: For the function.
    """
    module = Path(inspect.getfile(work)).resolve().relative_to(ROOT).with_suffix("")
    paths = [name for name, value in arguments.items() if isinstance(value, Path)]
    with tempfile.TemporaryDirectory() as scratch:
        task = {
            "module": ".".join(module.parts),
            "function": work.__qualname__,
            "settings": dict(settings or {}),
            "environment": dict(environment or {}),
            "arguments": arguments,
            "paths": paths,
        }
        Path(scratch, "task.json").write_text(json.dumps(task, default=str))
        done = subprocess.run(
            _shut_in([sys.executable, "-m", "tests.pacs.orthanc", scratch]),
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
        return json.loads(Path(scratch, "result.json").read_text())


def _shut_in(command: list[str]) -> list[str]:
    """A command in a network and among processes of its own; with it all of them end."""
    inside = 'ip link set lo up && exec "$@"'
    alone = ["unshare", "--net", "--pid", "--fork", "--kill-child=KILL"]
    return [*alone, "sh", "-c", inside, "sh", *command]


def _main(scratch: Path) -> None:
    task = json.loads((scratch / "task.json").read_text())
    work = import_module(task["module"])
    for name in task["function"].split("."):
        work = getattr(work, name)
    arguments = task["arguments"]
    arguments |= {name: Path(arguments[name]) for name in task["paths"]}
    (scratch / "orthanc").mkdir()
    orthanc = Orthanc(scratch / "orthanc", task["settings"], task["environment"])
    orthanc.start()
    try:
        result = work(orthanc, **arguments)
    finally:
        orthanc.stop()
    (scratch / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
