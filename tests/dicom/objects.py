"""Segmentations and maps of `infer` for tests: a network that labels, and a reader of our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import torch
from pydicom.dataset import Dataset

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.networks import RedCnnSettings, SegmentationHeadSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.volume import CTVolume
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.tasks import infer

CLASSES = ("background", "liver", "kidney_left", "nowhere")


def labelling_model(path: Path, classes: Sequence[str] = CLASSES) -> Path:
    """A network that takes noise away, and labels what its random weights find: known by running.

    Its last class loses everywhere, so that it is in no voxel.

    Args:
        path: Where to save it.
        classes: Names of its classes, background first.
    """
    settings = RedCnnSettings(
        channels=4, start_as_identity=False, head=SegmentationHeadSettings(classes=len(classes))
    )
    network = build_network(settings, generator=torch.Generator().manual_seed(3))
    weights = network.state_dict()
    weights["head.bias"] = torch.tensor([0.0] * (len(classes) - 1) + [-1e6])
    labels = {name: number for number, name in enumerate(classes) if number}
    checkpoint = Checkpoint(settings, weights, HuRange(), training={"labels": labels})
    return save_checkpoint(path, checkpoint)


def expected_labels(model: Path, volume: CTVolume) -> np.ndarray:
    """The classes, computed apart from the product: one whole slice at a time."""
    checkpoint = load_checkpoint(model)
    network = checkpoint.build()
    found = np.zeros(volume.shape, np.uint8)
    for index, hu in enumerate(volume.hu):
        seen = np.clip(hu, -2048, 4096)
        if volume.padding is not None:
            seen[volume.padding[index]] = -1000
        with torch.no_grad():
            scaled = checkpoint.hu_range.to_network(torch.from_numpy(seen))
            logits = network(scaled[None, None]).logits
        found[index] = logits[0].argmax(0).numpy()
        if volume.padding is not None:
            found[index][volume.padding[index]] = 0
    return found


def run(study: Path, model: Path | str, out: Path, **objects: object) -> infer.InferReport:
    """`infer` with everything that can be written beside the image.

    Plain torch computes, as in `expected_labels`: where two classes are equal to rounding, another
    engine may choose the other one.
    """
    settings = InferSettings(
        engine="torch", objects={"residual": True, "noise_map": "ct", **objects}
    )
    return infer.run(study, model=model, settings=settings, out=out)


@dataclass(frozen=True)
class Frame:
    """One frame of an object, or one slice of a source, as plain pydicom reads it.

    Args:
        name: SOPInstanceUID and zero-based frame of the source image: its own for a source.
        place: Position, orientation and pixel spacing, in this order.
        values: Stored values [y, x].
        segment: ReferencedSegmentNumber; 0 without.
    """

    name: tuple[str, int]
    place: tuple[float, ...]
    values: np.ndarray
    segment: int = 0


def frames_over(path: Path) -> Iterator[Frame]:
    """The frames of a Segmentation or Parametric Map."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array
    pixels = pixels if pixels.ndim == 3 else pixels[np.newaxis]
    for values, own in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        (derivation,) = own.DerivationImageSequence
        (image,) = derivation.SourceImageSequence
        identified = own.get("SegmentIdentificationSequence") or ()
        shared = dataset.SharedFunctionalGroupsSequence[0]
        identified = identified or shared.get("SegmentIdentificationSequence") or ()
        segment = identified[0].ReferencedSegmentNumber if identified else 0
        frame = int(image.get("ReferencedFrameNumber", 1)) - 1
        name = (str(image.ReferencedSOPInstanceUID), frame)
        yield Frame(name, _place(dataset, own), values, segment)


def source_frames(paths: Sequence[Path]) -> Iterator[Frame]:
    """Every slice of some files."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        groups = dataset.get("PerFrameFunctionalGroupsSequence") or [dataset]
        pixels = dataset.pixel_array
        pixels = pixels if pixels.ndim == 3 else pixels[np.newaxis]
        for number, (values, own) in enumerate(zip(pixels, groups, strict=True)):
            yield Frame((str(dataset.SOPInstanceUID), number), _place(dataset, own), values)


def _place(dataset: Dataset, own: Dataset) -> tuple[float, ...]:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    numbers: list[float] = []
    for group, keyword in (
        ("PlanePositionSequence", "ImagePositionPatient"),
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("PixelMeasuresSequence", "PixelSpacing"),
    ):
        places = [item for one in (own, shared) for item in (one.get(group) or ())] or [dataset]
        numbers += [float(value) for value in places[0][keyword].value]
    return tuple(numbers)


def lying_over(frames: Sequence[Frame], paths: Sequence[Path], volume: CTVolume) -> np.ndarray:
    """A volume of labels (or of a map), after checking that each frame lies over its source image.

    Args:
        frames: Of a Segmentation or Parametric Map.
        paths: Every file of the source.
        volume: What was read from the source.
    """
    places = {one.name: one.place for one in source_frames(paths)}
    order = [(one.sop_instance_uid, one.frame or 0) for one in volume.source.instances]
    whole = np.zeros(volume.shape, np.int64)
    seen = set()
    for frame in frames:
        np.testing.assert_array_equal(frame.place, places[frame.name])
        index = order.index(frame.name)
        assert (index, frame.segment) not in seen
        seen.add((index, frame.segment))
        np.testing.assert_allclose(frame.place[:3], volume.geometry.positions_mm[index], atol=1e-6)
        if not frame.segment:
            whole[index] = frame.values
            continue
        assert set(np.unique(frame.values)) <= {0, 1}
        assert not whole[index][frame.values > 0].any()
        whole[index][frame.values > 0] = frame.segment
    return whole
