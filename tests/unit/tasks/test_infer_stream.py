"""`infer` block by block: the voxels of the whole volume, in the memory of a few blocks."""

from __future__ import annotations

import errno
import json
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.overlap import Busy
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import OutputError, StudyError
from ctdenoise.inference import method
from ctdenoise.inference.denoiser import Denoised
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, plan_blocks
from ctdenoise.io.read import SeriesReader, open_series, read_volume
from ctdenoise.io.volume_writer import VolumeWriter
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import infer
from ctdenoise.tasks.infer_blocks import read_blocks, read_sample
from ctdenoise.tasks.infer_stream import stream
from tests.dicom.builders import ct_series, marked_volume, multi_frame, series_files

SLICES = 11


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small images are faster on one core, and other tests run beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def small_sample(monkeypatch):
    """A scan is longer than its sample already with a few slices."""
    monkeypatch.setattr(method, "SAMPLE_SLICES", 4)


def padded(slices: int = SLICES) -> CTVolume:
    """Uneven in size, with padding in some of its slices, none of which is in the first block."""
    volume = marked_volume(slices=slices)
    padding = np.zeros(volume.shape, dtype=bool)
    padding[4:7, :5] = True
    return replace(volume, padding=padding)


@pytest.fixture
def study(tmp_path) -> Path:
    series_files(tmp_path / "study", ct_series(padded(), signed=True, padding_value=-2000))
    return tmp_path / "study"


@pytest.fixture
def model(tmp_path) -> Path:
    settings = RedCnnSettings(channels=2, start_as_identity=False)
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = {name: 6**0.5 * tensor for name, tensor in network.state_dict().items()}
    return save_checkpoint(tmp_path / "model.safetensors", Checkpoint(settings, weights, HuRange()))


class Spy:
    """A reader that notes which slices are read, and which volumes are alive."""

    def __init__(self, reader: SeriesReader) -> None:
        self._reader = reader
        self.read_slices: list[int] = []
        self.volumes: list[weakref.ref[np.ndarray]] = []
        self.most_alive = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)

    def read(self, which) -> CTVolume:
        volume = self._reader.read(which)
        indices = range(self._reader.shape[0])[which] if isinstance(which, slice) else which
        self.read_slices += list(indices)
        self.volumes.append(weakref.ref(volume.hu.base))
        alive = [base for ref in self.volumes if (base := ref()) is not None]
        self.most_alive = max(self.most_alive, sum(len(one) for one in alive))
        return volume


@contextmanager
def spied(study: Path) -> Iterator[Spy]:
    with open_series(study) as reader:
        yield Spy(reader)


class TestBlocks:
    @pytest.mark.parametrize("size", [1, 3, 4, 20])
    @pytest.mark.parametrize("context", [0, 1, 2])
    def test_they_are_those_of_the_whole_volume(self, study, size, context):
        whole = read_volume(study)
        with open_series(study) as reader:
            blocks = list(read_blocks(reader, read_sample(reader), size=size, context=context))
        plans = list(plan_blocks(SLICES, size=size, context=context))
        assert len(blocks) == len(plans)
        for block, plan in zip(blocks, plans, strict=True):
            part = whole.select(plan.outer)
            assert (block.first, block.inner) == (plan.outer.start, plan.inner)
            assert np.array_equal(block.volume.hu, part.hu)
            assert np.array_equal(block.volume.geometry.positions_mm, part.geometry.positions_mm)
            assert block.volume.acquisition == part.acquisition
            assert block.volume.source == part.source
            if part.padding is None:
                assert block.volume.padding is None
            else:
                assert np.array_equal(block.volume.padding, part.padding)

    @pytest.mark.parametrize("context", [0, 1, 2])
    def test_no_slice_is_read_twice(self, study, context):
        with spied(study) as reader:
            for _ in read_blocks(reader, read_sample(reader), size=3, context=context):
                pass
        assert sorted(reader.read_slices) == list(range(SLICES))


class TestStream:
    def test_the_voxels_are_those_of_the_denoiser_to_the_bit(self, study, model):
        denoiser = load_denoiser(model)
        expected = denoiser(read_volume(study))
        found = denoised_in_stream(study, model, size=3)
        assert np.abs(expected.hu - read_volume(study).hu).max() > 1
        assert np.array_equal(np.concatenate([one.volume.hu for _, one in found]), expected.hu)
        assert [place for block, _ in found for place in block.places] == list(range(SLICES))
        assert all(one.volume.history == expected.history for _, one in found)

    def test_memory_does_not_grow_with_the_slices(self, tmp_path):
        most = []
        for slices in (20, 60):
            folder = tmp_path / str(slices)
            series_files(folder, ct_series(marked_volume(slices=slices, size=(9, 8))))
            with spied(folder) as reader:
                busy, denoising = Busy(), settled(reader, "identity")
                blocks = read_blocks(reader, read_sample(reader), size=2, context=0)
                stream(blocks, denoising, lambda *_: None, busy=busy, advance=lambda *_: None)
            most.append(reader.most_alive)
        # Read: one at work, one that waits, one in hand; denoised: the same; and the samples.
        assert max(most) <= 2 * 6 + 2 * 4

    def test_every_slice_is_told_when_it_is_written(self, study):
        written, told = [], []
        with open_series(study) as reader:
            denoising = settled(reader, "identity")
            stream(
                read_blocks(reader, read_sample(reader), size=4, context=0),
                denoising,
                lambda block, _: written.append(len(block.places)),
                busy=Busy(),
                advance=lambda count: told.append((count, sum(written))),
            )
        assert told == [(4, 4), (4, 8), (3, 11)]

    def test_a_writer_that_fails_ends_the_reading(self, tmp_path):
        series_files(tmp_path / "long", ct_series(marked_volume(slices=40, size=(9, 8))))

        def full(block: Block, denoised: Denoised) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with spied(tmp_path / "long") as reader, pytest.raises(OSError, match="No space"):
            stream(
                read_blocks(reader, read_sample(reader), size=1, context=0),
                settled(reader, "identity"),
                full,
                busy=Busy(),
                advance=lambda *_: None,
            )
        assert len(reader.read_slices) < 20
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("read")]


class TestWhole:
    @pytest.mark.parametrize("kind", ["nifti", "mha", "nrrd", "dicom"])
    def test_every_format_holds_what_the_denoiser_makes(self, study, model, tmp_path, kind):
        infer.run(
            study, model=model, settings=InferSettings(), out=tmp_path / "o", file_format=kind
        )
        found = read_volume(tmp_path / "o" / "dicom" if kind == "dicom" else tmp_path / "o")
        expected = load_denoiser(model)(read_volume(study))
        image = np.ones(expected.shape, bool) if expected.padding is None else ~expected.padding
        assert np.array_equal(found.hu[image], np.rint(expected.hu[image]))

    def test_a_multi_frame_source_gives_a_multi_frame_result(self, model, tmp_path):
        series_files(tmp_path / "in", [multi_frame(marked_volume(slices=SLICES))])
        infer.run(tmp_path / "in", model=model, settings=InferSettings(), out=tmp_path / "out")
        expected = load_denoiser(model)(read_volume(tmp_path / "in"))
        found = read_volume(tmp_path / "out" / "dicom")
        assert len(list((tmp_path / "out" / "dicom").iterdir())) == 1
        # Unsigned words with an intercept of -1024 hold no less.
        assert np.array_equal(found.hu, np.maximum(np.rint(expected.hu), -1024))

    def test_figures_and_times_are_in_the_record(self, study, model, tmp_path):
        report = infer.run(study, model=model, settings=InferSettings(), out=tmp_path / "out")
        before, after = read_volume(study), load_denoiser(model)(read_volume(study))
        change = (after.hu - before.hu)[~before.padding].astype(float)
        assert report.mean_change_hu == pytest.approx(change.mean(), abs=1e-6)
        assert report.largest_change_hu == np.abs(change).max()
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        assert {"open", "read", "denoise", "write", "wait", "judge", "total"} <= set(
            record["timings_s"]
        )
        assert 0 < record["results"]["share_outside_denoiser"] < 1
        assert record["peak_memory_mb"] > 0

    def test_a_full_disk_is_told_and_leaves_nothing(self, small_disk, tmp_path):
        series_files(tmp_path / "in", ct_series(marked_volume(slices=8, size=(150, 150))))
        with pytest.raises(OutputError, match="disk is full"):
            infer.run(
                tmp_path / "in",
                model="identity",
                settings=InferSettings(),
                out=small_disk / "out",
            )
        assert not any(small_disk.iterdir())

    def test_a_stopped_run_leaves_nothing(self, study, tmp_path, monkeypatch):
        write, written = VolumeWriter.write, []

        def stopped(writer: VolumeWriter, block: CTVolume) -> None:
            write(writer, block)
            written.append(block.shape[0])
            raise KeyboardInterrupt

        monkeypatch.setattr(VolumeWriter, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            infer.run(study, model="identity", settings=InferSettings(), out=tmp_path / "o" / "o")
        assert written == [8]
        assert [path.name for path in tmp_path.iterdir()] == ["study"]

    def test_a_slice_that_cannot_be_read_right_leaves_nothing(self, tmp_path):
        def impossible(dataset, index):
            if index == 9:  # behind the first block, and not in the sample
                dataset.RescaleSlope = "60"

        series_files(tmp_path / "in", ct_series(padded(), padding_value=10, edit=impossible))
        with pytest.raises(StudyError, match="cannot be read right"):
            infer.run(
                tmp_path / "in", model="identity", settings=InferSettings(), out=tmp_path / "out"
            )
        assert not (tmp_path / "out").exists()


def settled(reader: SeriesReader, model: str | Path):
    denoiser = load_denoiser(model)
    return denoiser.settle(read_sample(reader), reader)


def denoised_in_stream(study: Path, model: Path, *, size: int) -> list[tuple[Block, Denoised]]:
    found: list[tuple[Block, Denoised]] = []
    with open_series(study) as reader:
        stream(
            read_blocks(reader, read_sample(reader), size=size, context=0),
            settled(reader, model),
            lambda block, denoised: found.append((block, denoised)),
            busy=Busy(),
            advance=lambda *_: None,
        )
    return found
