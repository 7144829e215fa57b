"""The whole way: dcmtk's storescu, our server, and back into Orthanc as a viewer sees it."""

from __future__ import annotations

import os
import subprocess
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from ctdenoise.core.provenance import digest
from ctdenoise.jobs.ledger import Ledger
from tests.pacs.dcmtk import program
from tests.pacs.sent_studies import make_study
from tests.pacs.serve_process import ended, port_of, serving, until

QUICK = {
    "inbox": {"free_mb": 0},
    "completeness": {"quiet_s": 1.5},
    "http": {"enabled": False},
    "executor": {"place": {"name": "processes", "workers": 1}},
}
SAME = (
    *("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber", "Modality"),
    *("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("SliceThickness", "Rows", "Columns", "RescaleSlope", "RescaleIntercept", "WindowCenter"),
)
"""What a viewer needs to show a derived slice in the place of its source."""


def rule(name, kernel, *send_to):
    action = {"model": "gaussian", "change": {"strength": 0.5}, "send_to": list(send_to)}
    return {"name": name, "when": {"what": "CT", "kernel": kernel}, "do": action}


def peers(orthanc):
    return {
        "dimse": {"kind": "dimse", "host": "127.0.0.1", "port": 4242, "ae_title": "ARCHIVE"},
        "web": {"kind": "dicomweb", "url": orthanc.web},
    }


def sent_back(orthanc, study: Path, scratch: Path, storescu: str):
    """A study by storescu to the server; one series comes back by DIMSE, one by DICOMweb."""
    os.umask(0o077)
    orthanc.store(study)
    rules = [rule("soft", "B30f", "dimse"), rule("sharp", "B70f", "web")]
    settings = {**QUICK, "receiver": {"port": 0}, "peers": peers(orthanc), "rules": rules}
    with serving(scratch, settings) as state:
        options = ("-aec", "CTDENOISE", "+sd", "+r", "127.0.0.1", str(port_of(state)))
        subprocess.run([storescu, *options, str(study)], check=True)
        jobs = ended(state, 1)
    return told(orthanc, jobs)


def taken_from(orthanc, study: Path, scratch: Path):
    """A study that the server fetches from the archive and gives back to the same archive."""
    os.umask(0o077)
    rules = [rule("all", "B.*", "web")]
    archive = {"archive": {"url": orthanc.url}, "poll_s": 0.5, "start": "beginning"}
    settings = {
        **QUICK,
        "receiver": None,
        "orthanc": [archive],
        "peers": peers(orthanc),
        "rules": rules,
    }
    orthanc.store(study)
    with serving(scratch, settings) as state:
        ended(state, 1)
        until(lambda: len(stable(orthanc)) == 2)  # what was sent back made it stable once more
        last = stable(orthanc)[-1]["Seq"]
        until(lambda: read_so_far(orthanc, state) >= last)
        jobs = ended(state, 1)
    return told(orthanc, jobs)


def stable(orthanc):
    """The moments at which the archive called a study stable."""
    changes = orthanc.json("/changes?limit=1000")["Changes"]
    return [one for one in changes if one["ChangeType"] == "StableStudy"]


def read_so_far(orthanc, state: Path):
    """Number of the last change of the archive that the server has dealt with."""
    with Ledger.open(state, read_only=True) as ledger:
        return ledger.noted(f"orthanc/{digest(orthanc.url)}")["number"]


def told(orthanc, jobs):
    """How the jobs ended, and every instance of the archive."""
    return {
        "states": [(job.state, job.reason) for job in jobs],
        "statuses": [[one["status"] for one in job.result["series"]] for job in jobs],
        "files": [data.hex() for data in orthanc.instances().values()],
        "studies": len(orthanc.json("/studies")),
    }


def by_source(result):
    """Each derived instance of the archive by the source that it refers to."""
    found, files = {}, {}
    for text in result["files"]:
        dataset = dcmread(BytesIO(bytes.fromhex(text)))
        files[str(dataset.SOPInstanceUID)] = dataset
    for dataset in files.values():
        if dataset.ImageType[0] == "DERIVED":
            (source,) = dataset.SourceImageSequence
            uid = str(source.ReferencedSOPInstanceUID)
            assert uid not in found  # each exactly once
            found[uid] = dataset
    return found, files


def require_right(result, study):
    derived, files = by_source(result)
    assert sorted(derived) == sorted(one.uid for s in study.series for one in s.instances)
    assert result["studies"] == 1
    for uid, dataset in derived.items():
        source = files[uid]
        for keyword in SAME:
            assert dataset[keyword].value == source[keyword].value, keyword
        assert list(dataset.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert dataset.SeriesDescription == f"{source.SeriesDescription} [ctdenoise]"
        assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
        assert (dataset.Manufacturer, dataset.PixelData != source.PixelData) == ("ctdenoise", True)
    assert len({d.SeriesInstanceUID for d in derived.values()}) == len(study.series)


def test_a_study_by_storescu_comes_back_to_the_archive_by_dimse_and_by_dicomweb(
    beside_orthanc, tmp_path
):
    study = make_study(tmp_path / "sent", "back", fates=("wanted", "unwanted"), slices=4)
    (tmp_path / "scratch").mkdir(mode=0o700)
    result = beside_orthanc(
        sent_back,
        study=study.folder,
        scratch=tmp_path / "scratch",
        storescu=program("storescu"),
    )
    assert result["states"] == [["done", ""]]
    assert result["statuses"] == [["done", "done"]]
    require_right(result, study)


def test_a_stable_study_of_an_archive_is_denoised_into_the_same_archive_without_a_loop(
    beside_orthanc, tmp_path
):
    study = make_study(tmp_path / "sent", "stable", fates=("wanted", "wanted"), slices=4)
    (tmp_path / "scratch").mkdir(mode=0o700)
    result = beside_orthanc(
        taken_from, study=study.folder, scratch=tmp_path / "scratch", settings={"StableAge": 1}
    )
    require_right(result, study)
    assert result["states"] == [["done", ""]]
    assert result["statuses"] == [["done", "done"]]
