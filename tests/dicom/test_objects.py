"""Segmentation, removed noise and noise map of `infer`: every voxel in its place, and legal."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import torch
from scipy.ndimage import generic_filter

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import MissingExtraError, StudyError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io import dicom_objects
from ctdenoise.io.image_labels import read_labels
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.local_noise import local_sd_hu
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.networks.prediction import LOG_SIGMA_START
from tests.dicom.builders import PATIENT_NAME, ct_series, marked_volume, series_files
from tests.dicom.objects import CLASSES, expected_labels, labelling_model, run
from tests.dicom.validators import errors_of


@pytest.fixture(autouse=True)
def _same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelling_model(tmp_path_factory.mktemp("model") / "model.safetensors")


def padded_series(folder: Path) -> CTVolume:
    volume = marked_volume(slices=3, size=(40, 48))
    padding = np.zeros(volume.shape, bool)
    padding[:, :4] = True
    volume = CTVolume(volume.hu, volume.geometry, volume.acquisition, padding=padding)
    series_files(folder, ct_series(volume, padding_value=-2000, signed=True, slope=0.5))
    return read_volume(folder)


def stored_hu(folder: Path) -> np.ndarray:
    found = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    return np.stack(
        [d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in found]
    )


def test_removed_noise_and_result_add_up_to_the_source(tmp_path, model):
    source = padded_series(tmp_path / "study")
    report = run(tmp_path / "study", model, tmp_path / "out")
    residual = stored_hu(tmp_path / "out" / "residual")
    result = stored_hu(tmp_path / "out" / "dicom")
    inside = ~source.padding
    assert np.abs(residual[inside]).max() > 1
    np.testing.assert_array_equal((result + residual)[inside], source.hu[inside])
    assert report.objects == ("segmentation", "residual", "noise_map")


def test_padding_stays_padding_in_removed_noise_and_map(tmp_path, model):
    source = padded_series(tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out")
    for name in ("residual", "noise_map"):
        read = read_volume(tmp_path / "out" / name)
        np.testing.assert_array_equal(read.padding, source.padding)


def test_identity_removes_exactly_nothing(tmp_path):
    padded_series(tmp_path / "study")
    run(tmp_path / "study", "identity", tmp_path / "out")
    for name in ("residual", "noise_map"):
        read = read_volume(tmp_path / "out" / name)
        assert not read.hu[~read.padding].any()


def test_every_label_is_in_its_place(tmp_path, model):
    source = padded_series(tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out")
    expected = expected_labels(model, source)
    seg = highdicom.seg.segread(tmp_path / "out" / "segmentation" / "00001.dcm")
    uids = [one.sop_instance_uid for one in source.source.instances]
    read = seg.get_pixels_by_source_instance(uids, combine_segments=True)
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(read, expected)


def test_a_segmentation_says_what_and_who(tmp_path, model):
    padded_series(tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out")
    seg = pydicom.dcmread(tmp_path / "out" / "segmentation" / "00001.dcm")
    segments = seg.SegmentSequence
    assert [one.SegmentLabel for one in segments] == list(CLASSES[1:])
    types = [one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for one in segments]
    assert types == ["Liver", "Kidney", "Anatomical Structure"]
    assert {one.SegmentAlgorithmType for one in segments} == {"AUTOMATIC"}
    family = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert family.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert seg.PatientName == PATIENT_NAME
    assert (seg.SegmentationType, seg.Manufacturer) == ("BINARY", "ctdenoise")
    assert seg.SegmentsOverlap == "NO"


def test_labels_do_not_change_with_tiles(tmp_path, model):
    volume = marked_volume(slices=2, size=(96, 90))
    whole, said = load_denoiser(model).with_estimates(volume, labels=True)
    denoiser = load_denoiser(model, InferSettings(tile=64))
    tiled, cut = denoiser.with_estimates(volume, labels=True)
    np.testing.assert_allclose(tiled.hu, whole.hu, atol=0.01)
    assert np.mean(cut.labels != said.labels) < 1e-3  # two scores may be equal to rounding


def test_the_same_run_gives_the_same_bytes(tmp_path, model):
    padded_series(tmp_path / "study")
    for name in ("one", "two"):
        run(tmp_path / "study", model, tmp_path / name, noise_map="pm")
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.dcm"))
    assert len(files) == 3 + 1 + 3 + 1
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_parametric_map_holds_the_local_standard_deviation(tmp_path, model):
    source = padded_series(tmp_path / "study")
    run(tmp_path / "study", model, tmp_path / "out", noise_map="pm")
    image = pydicom.dcmread(tmp_path / "out" / "noise_map" / "00001.dcm")
    result = load_denoiser(model)(source)
    uids = [one.sop_instance_uid for one in source.source.instances]
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        derivation = group.DerivationImageSequence[0].SourceImageSequence[0]
        index = uids.index(derivation.ReferencedSOPInstanceUID)
        expected = local_sd_hu(
            source.hu[index] - result.hu[index],
            source.padding[index],
            pixel_spacing_mm=source.geometry.pixel_spacing_mm,
            window_mm=9.0,
        )
        np.testing.assert_allclose(image.pixel_array[number] * 0.05, expected, atol=0.026)


@pytest.mark.parametrize("kind", ["pm", "ct"])
def test_a_network_that_states_its_error_gives_the_noise_map(tmp_path, kind):
    """Every weight of the output for it is 0, so the error is the same everywhere: 12.3 HU."""
    settings = RedCnnSettings(channels=4, start_as_identity=False, predict_sigma=True)
    weights = build_network(settings, generator=torch.Generator().manual_seed(3)).state_dict()
    weights["sigma.weight"] = torch.zeros_like(weights["sigma.weight"])
    weights["sigma.bias"] = torch.tensor([math.log(12.3 / 4095) - LOG_SIGMA_START])
    model = save_checkpoint(tmp_path / "m.safetensors", Checkpoint(settings, weights, HuRange()))
    source = padded_series(tmp_path / "study")
    report = run(tmp_path / "study", model, tmp_path / "out", noise_map=kind, residual=False)
    assert report.noise_map == "standard deviation of the error, as stated by the network"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["results"]["noise_map"] == report.noise_map
    first = pydicom.dcmread(tmp_path / "out" / "noise_map" / "00001.dcm")
    assert first.SeriesDescription.endswith("STATED ERROR MAP")
    if kind == "pm":
        mapping = first.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
        assert mapping.LUTExplanation == report.noise_map
        values = first.pixel_array * mapping.RealWorldValueSlope
    else:
        assert "state_error" in first.DerivationDescription
        assert "DerivationCodeSequence" not in first
        values = read_volume(tmp_path / "out" / "noise_map").hu
    np.testing.assert_allclose(values[~source.padding], 12.3, atol=0.026)


def test_a_parametric_map_is_in_another_series_than_the_map_as_ct(tmp_path, model):
    padded_series(tmp_path / "study")
    series = set()
    for kind in ("pm", "ct"):
        run(tmp_path / "study", model, tmp_path / kind, noise_map=kind)
        path = tmp_path / kind / "noise_map" / "00001.dcm"
        series.add(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
    assert len(series) == 2  # a series has one modality


def test_local_standard_deviation_is_that_of_numpy():
    noise = np.random.default_rng(1).normal(0, 10, (20, 22)).astype(np.float32)
    found = local_sd_hu(noise, None, pixel_spacing_mm=(1.0, 1.0), window_mm=5.0)
    expected = generic_filter(noise.astype(float), lambda v: v.std(ddof=1), (5, 5))
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], rtol=1e-4)


def test_image_files_hold_the_same(tmp_path, model):
    volume = marked_volume(slices=3, size=(40, 48))
    write_nifti(volume, tmp_path / "ct.nii.gz")
    report = run(tmp_path / "ct.nii.gz", model, tmp_path / "out")
    assert report.objects == ("labels.nii.gz", "residual.nii.gz", "noise_map.nii.gz")
    source = read_volume(tmp_path / "ct.nii.gz")
    labels = read_labels(tmp_path / "out" / "labels.nii.gz", source.geometry)
    np.testing.assert_array_equal(labels, expected_labels(model, source))
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["results"]["label_names"] == {str(n): c for n, c in enumerate(CLASSES) if n}


def test_without_highdicom_a_segmentation_is_refused_before_any_work(tmp_path, model, monkeypatch):
    padded_series(tmp_path / "study")
    monkeypatch.setattr(dicom_objects, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"ctdenoise\[seg\]"):
        run(tmp_path / "study", model, tmp_path / "out")
    assert run(tmp_path / "study", model, tmp_path / "out", segmentation="none").files == 3


def test_slices_without_a_common_frame_of_reference_are_refused_for_one_object(tmp_path, model):
    def own_frame(dataset, index):
        dataset.FrameOfReferenceUID = f"1.2.3.{index}"

    series_files(tmp_path / "study", ct_series(marked_volume(slices=3), edit=own_frame))
    with pytest.raises(StudyError, match="3 frames of reference"):
        run(tmp_path / "study", model, tmp_path / "out")
    assert run(tmp_path / "study", "identity", tmp_path / "out").objects == (
        "residual",
        "noise_map",
    )


REAL = (
    "series/siemens_chest",
    "series/ge_abdomen",
    "series/philips_head_phantom_5mm_UB",
    "zoo/ge_head_tilt_uneven_gaps",
    "zoo/philips_tilted_with_scout",
)


@pytest.mark.validators
@pytest.mark.ctdata
@pytest.mark.parametrize("name", REAL)
def test_no_object_has_an_error_that_its_source_lacks(
    name, ctdata, tmp_path, model, dicom_validators
):
    few = tmp_path / "study"
    few.mkdir()
    for path in few_slices(ctdata / name):
        (few / path.name).symlink_to(path)
    known = Counter()
    for path in few.iterdir():
        known |= errors_of(dicom_validators[0], path)
    for kind in ("pm", "ct"):
        out = tmp_path / kind
        run(few, model, out, noise_map=kind)
        for folder in ("segmentation", "residual", "noise_map"):
            for path in (out / folder).iterdir():
                new = errors_of(dicom_validators[0], path)
                assert set(new) <= set(known), (folder, new - known)


def few_slices(folder: Path) -> Iterator[Path]:
    instances = read_volume_of(folder).source.instances
    yield from (one.path for one in instances[:4])


def read_volume_of(folder: Path) -> CTVolume:
    from ctdenoise.io.study import find_series

    found = [one for one in find_series(folder) if not one.problems]
    return read_volume(found[0])
