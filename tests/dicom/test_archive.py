"""A real archive stores what we write, once, and gives it back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.archive import archived, missing
from tests.dicom.deriving import DENOISE, SIMULATE

WITHOUT = missing()

pytestmark = [
    pytest.mark.ctdata,
    pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT or "there is an archive"),
]

SERIES = ["siemens_chest", "ge_abdomen", "philips_chest"]


def test_an_archive_returns_source_and_results_unchanged_and_counts_nothing_twice(
    ctdata: Path, tmp_path: Path
) -> None:
    sent, written = tmp_path / "sent", []
    for name in SERIES:
        part = read_volume(ctdata / "series" / name).select(slice(5, 9))
        assert part.source is not None
        for instance in part.source.instances:
            copy = sent / name / "source" / instance.path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(instance.path.read_bytes())
        for step in (DENOISE, SIMULATE):
            hu = part.hu + np.float32(7)
            written += write_series(part.with_hu(hu, step), sent / name / step.name)
    report = archived(sent, tmp_path / "returned")
    assert (report["sent"], report["again"]) == (0, 0)
    for when in ("first", "second"):
        assert report[when]["CountInstances"] == 3 * len(SERIES) * 4
        assert report[when]["CountSeries"] == 3 * len(SERIES)
        assert report[when]["CountStudies"] == report[when]["CountPatients"] == len(SERIES)
    for series in report["series"]:
        assert series["instances"] == series["metadata"] == series["retrieved"] == 4
    for path in written:
        ours = pydicom.dcmread(path)
        assert pydicom.dcmread(tmp_path / "returned" / f"{ours.SOPInstanceUID}.dcm") == ours
