"""`infer` with a network that sees neighbouring slices: a whole series, read block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.read import read_volume
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import infer
from ctdenoise.tasks.infer_plan import plan
from ctdenoise.tasks.infer_work import InferRequest
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files

SLICES = 19


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = RedCnnSettings(channels=4, slices=5, start_as_identity=False)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    weights["tconv5.weight"] *= 0.05
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    return save_checkpoint(file, Checkpoint(settings, weights, HuRange()))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files come from the last slice to the first, as many scanners number them."""
    folder = tmp_path_factory.mktemp("scan") / "study"
    volume = water_disc(slices=SLICES, size=32, noise_hu=40.0)
    series_files(folder, ct_series(volume, signed=True)[::-1])
    return folder


@pytest.mark.parametrize("size", [1, 8])
def test_voxels_are_those_of_the_whole_scan_in_blocks_of_any_size(
    study, model, tmp_path, monkeypatch, size
):
    monkeypatch.setattr("ctdenoise.inference.denoiser.BLOCK_SLICES", size)
    infer.run(study, model=model, settings=InferSettings(), out=tmp_path / "out")
    monkeypatch.setattr("ctdenoise.inference.denoiser.BLOCK_SLICES", 2 * SLICES)
    source = read_volume(study)
    whole = load_denoiser(model)(source)
    assert np.abs(whole.hu - source.hu).max() > 5
    # Stored as whole numbers with slope 1.
    assert np.array_equal(read_volume(tmp_path / "out").hu, np.rint(whole.hu))


def test_a_dry_run_computes_slices_of_a_longer_scan(study, model, tmp_path):
    planned = plan(InferRequest(study, model, InferSettings(), tmp_path / "out"))
    assert planned.computed_slices == SLICES
    assert planned.seconds_per_slice > 0


def test_a_map_of_uncertainty_is_found_for_a_network_that_sees_neighbours(study, model, tmp_path):
    settings = InferSettings(objects={"uncertainty": "ct"})
    report = infer.run(study, model=model, settings=settings, out=tmp_path / "out")
    assert report.rms_error_hu is not None
    assert report.rms_error_hu > 0
    assert len(list((tmp_path / "out" / "uncertainty").iterdir())) == SLICES
