"""An Orthanc gives its studies to the server and gets denoised series back, each once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from tests.pacs.orthanc import Orthanc
from tests.pacs.sent_studies import make_study
from tests.pacs.serving import jobs, rules, serve_once


def _stable(orthanc: Orthanc, count: int) -> None:
    until, pause = time.monotonic() + 60, threading.Event()
    while sum(study["IsStable"] for study in orthanc.json("/studies?expand")) < count:
        assert time.monotonic() < until
        pause.wait(0.1)


def served(orthanc: Orthanc, folder: Path) -> dict[str, Any]:
    """Runs beside a real Orthanc; see the test."""
    study = make_study(folder, "one", fates=("wanted", "unwanted"))
    orthanc.store(study.folder)
    entrance = {
        "archive": {"url": orthanc.url},
        "start": "beginning",
        "poll_s": 0.1,
    }
    changes = {
        "orthanc": [entrance],
        "peers": {"archive": {"kind": "dicomweb", "url": orthanc.web}},
        "rules": rules("archive"),
    }
    found = []
    for _ in range(2):
        _stable(orthanc, 1)
        serve_once(folder / "state", **changes)
        found.append([(job.state, job.reason) for job in jobs(folder / "state")])
    made = [one["MainDicomTags"].get("Manufacturer") for one in orthanc.json("/series?expand")]
    wanted = study.of("wanted")[0]
    return {
        "jobs": found,
        "made": made.count("ctdenoise"),
        "instances": orthanc.json("/statistics")["CountInstances"],
        "expected": len(study.paths) + len(wanted.instances),
    }


def test_a_study_of_an_archive_comes_back_denoised_once(beside_orthanc, tmp_path: Path) -> None:
    done = beside_orthanc(served, settings={"StableAge": 1}, folder=tmp_path)
    assert done["jobs"] == [[["done", ""]]] * 2
    assert done["made"] == 1
    assert done["instances"] == done["expected"]
