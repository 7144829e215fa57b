"""The nightly job with a real archive: yesterday's studies come back denoised, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dicom.builders import PATIENT_NAME, ct_series, marked_volume, series_files

ROOT = Path(__file__).parents[2]
DAY = "20240229"


def night(orthanc, place: Path):
    """Run the job, and give its code and what the archive holds."""
    done = subprocess.run(
        ["bash", ROOT / "pipelines" / "nightly_pacs.sh", place],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "CTDENOISE": f"{sys.executable} -m ctdenoise",
            "SOURCE": orthanc.dimse,
            "DESTINATION": orthanc.web,
            "MODEL": "identity",
            "INFER_SET": "checks.on_error=warn",
            "DAY": DAY,
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    series = [orthanc.json(f"/series/{name}")["MainDicomTags"] for name in orthanc.json("/series")]
    return {
        "code": done.returncode,
        "said": done.stdout + done.stderr,
        "instances": orthanc.json("/statistics")["CountInstances"],
        "series": sorted(tags.get("SeriesDescription", "") for tags in series),
        "studies": len(orthanc.json("/studies")),
    }


def two_nights(orthanc, studies: Path, place: Path):
    orthanc.store(studies)
    return [night(orthanc, place), night(orthanc, place)]


@pytest.mark.slow
def test_studies_of_a_day_come_back_denoised_and_once(beside_orthanc, tmp_path):
    if shutil.which("flock") is None:
        pytest.skip("there is no flock")

    def of_the_day(dataset, place):
        dataset.StudyDate = DAY

    series = ct_series(marked_volume(slices=3), edit=of_the_day)
    series_files(tmp_path / "studies" / "a", series)
    first, second = beside_orthanc(
        two_nights, studies=tmp_path / "studies", place=tmp_path / "night"
    )
    assert first["code"] == 0, first["said"]
    assert (first["studies"], first["instances"], len(first["series"])) == (1, 6, 2)
    assert {key: second[key] for key in ("code", "instances")} == {"code": 0, "instances": 6}
    log = (tmp_path / "night" / "log").read_text()
    assert f"{DAY}: done." in log
    assert PATIENT_NAME not in log
    assert not list((tmp_path / "night").rglob("*.dcm"))
