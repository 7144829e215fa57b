"""The archive that other tests use is one: it starts, it keeps what it gets, and it is shut in."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.dicom.builders import ct_series, marked_volume, series_files


def kept(orthanc, folder: Path):
    orthanc.store(folder)
    orthanc.stop()
    orthanc.start()
    names = [name for _, name in socket.if_nameindex()]
    return {
        "instances": len(orthanc.instances()),
        "title": orthanc.json("/system")["DicomAet"],
        "lo_only": names,
    }


def test_an_archive_keeps_what_it_gets_in_a_network_of_its_own(beside_orthanc, tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume(slices=2)))
    result = beside_orthanc(kept, folder=tmp_path / "study", settings={"DicomAet": "OTHER"})
    assert result == {"instances": 2, "title": "OTHER", "lo_only": ["lo"]}
