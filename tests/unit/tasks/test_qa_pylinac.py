"""Figures of pylinac beside ours: another Python is asked, here one that plays its part."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.qa import QaSettings
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, UsageError
from ctdenoise.io.pylinac_process import pylinac_results
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks import phantom as make_phantom
from ctdenoise.tasks.qa_found import QaFound
from ctdenoise.tasks.qa_pylinac import with_pylinac

NOTHING = QaFound(Measured(), ())
SLICES = {"acr464": (64, 2.5), "catphan504": (72, 2.5)}


def python(folder: Path, body: str) -> Path:
    """A program in place of a Python: it gets "-c", a program, the phantom and a folder."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def scan(folder: Path, phantom, *, slices: int, spacing: float, size: int = 64) -> CTVolume:
    grid = GridSettings(size=size, slices=slices, slice_spacing_mm=spacing)
    settings = PhantomSettings(phantom=phantom, grid=grid)
    make_phantom.run(settings, out=folder / "scan", file_format="dicom")
    return read_volume(folder / "scan" / "dicom")


def add_noise(folder: Path) -> None:
    """Noise of 5 HU in every file: pylinac divides by it."""
    rng = np.random.default_rng(1)
    for path in folder.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array + rng.normal(0, 5, image.pixel_array.shape)
        limits = np.iinfo(image.pixel_array.dtype)
        image.PixelData = (
            np.clip(np.rint(pixels), limits.min, limits.max).astype(limits.dtype).tobytes()
        )
        image.save_as(path)


ANSWER = """
result = {
    "pylinac_version": "9.9",
    "ct_module": {"rois": {"Air": -999.0, "Poly": -95.0}},
    "uniformity_module": {"bb_distance_mm": 99.5},
    "low_contrast_module": {"cnr": None},
}
print("talk of its own")
print("ctdenoise-result:" + json.dumps(result))
"""


def test_figures_of_pylinac_stand_behind_ours_under_our_names(tmp_path):
    volume = scan(tmp_path, Acr464Settings(modules=(1,)), slices=2, spacing=5.0)
    settings = QaSettings(phantom="acr464", pylinac=str(python(tmp_path, ANSWER)))
    found = with_pylinac(NOTHING, volume, settings)
    values = {one.key: one.value for one in found.measured.metrics}
    assert values == {
        "pylinac_hu[air]": -999.0,
        "pylinac_hu[polyethylene]": -95.0,
        "pylinac_length": 99.5,
        "pylinac_cnr": None,
    }
    assert {one.reduction for one in found.measured.metrics} == {
        "pylinac 9.9",
        "one slice, pylinac 9.9",
    }


def test_a_scan_that_pylinac_cannot_analyse_is_a_remark_without_what_it_said(tmp_path):
    volume = scan(tmp_path, Acr464Settings(modules=(1,)), slices=2, spacing=5.0)
    program = python(tmp_path, 'raise ValueError("Doe^John is not a phantom")')
    settings = QaSettings(phantom="acr464", pylinac=str(program))
    found = with_pylinac(NOTHING, volume, settings)
    assert found.remarks == ("pylinac could not analyse the scan (ValueError).",)


def test_water_is_not_given_to_pylinac_and_nothing_happens_without_it(tmp_path):
    volume = scan(tmp_path, Acr464Settings(modules=(1,)), slices=2, spacing=5.0)
    assert with_pylinac(NOTHING, volume, QaSettings()) is NOTHING
    found = with_pylinac(NOTHING, volume, QaSettings(pylinac="python"))
    assert "was not asked" in found.remarks[0]


def test_a_python_that_is_not_there_or_has_no_pylinac_is_named(tmp_path):
    with pytest.raises(UsageError, match="no Python"):
        pylinac_results(tmp_path / "none", "acr464", [])
    program = python(tmp_path, 'raise ModuleNotFoundError("No module named pylinac")')
    with pytest.raises(UsageError, match="pip install pylinac"):
        pylinac_results(program, "acr464", [])
    silent = python(tmp_path, "pass")
    with pytest.raises(InputError, match="no result"):
        pylinac_results(silent, "acr464", [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "phantom", [Acr464Settings(), Catphan504Settings()], ids=["acr464", "catphan504"]
)
def test_pylinac_itself_finds_the_truth_of_our_phantoms(phantom, tmp_path):
    other = os.environ.get("CTDENOISE_PYLINAC")
    if other is None:
        pytest.skip("needs the Python of an environment with pylinac (CTDENOISE_PYLINAC)")
    slices, spacing = SLICES[phantom.name]
    scan(tmp_path, phantom, slices=slices, spacing=spacing, size=512)
    add_noise(tmp_path)
    volume = read_volume(tmp_path / "scan" / "dicom")
    found = with_pylinac(NOTHING, volume, QaSettings(phantom=phantom.name, pylinac=other))
    assert found.remarks == ()
    values = {one.key: one.value for one in found.measured.metrics}
    assert values["pylinac_hu[acrylic]"] == pytest.approx(119, abs=5)
    assert values["pylinac_length"] == pytest.approx(
        {"acr464": 100.0, "catphan504": 50.0}[phantom.name], rel=0.01
    )
