"""Masks that a network with a segmentation head makes of every image that `evaluate` compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.read import SeriesReader
from ctdenoise.networks.checkpoint import load_model


class NetworkMasks:
    """What a network labels each image with; see `tasks.evaluate_masks.MaskSource`.

    The image that the network computes is left aside: it labels the image that it is given.

    Args:
        model: A checkpoint with a segmentation head, or the output folder of a training run.

    Raises:
        CheckpointError: If it is no checkpoint.
        UsageError: If the network has no segmentation head.
    """

    def __init__(self, model: Path) -> None:
        self._denoiser = load_denoiser(model)
        if not self._denoiser.class_names:
            raise UsageError(
                "this network has no segmentation head, so it makes no masks.",
                where=model,
                fix="Train one with network.head.classes, for instance --config redcnn_seg.",
            )
        trained = load_model(model).training.get("labels")
        self._trained_labels = trained if isinstance(trained, dict) else None

    @property
    def labels(self) -> Mapping[int, int] | None:
        """Class of each label number that the network was trained on; None if they are the classes.

        Raises:
            UsageError: If it was trained on labels by name: the numbers of a file are not known.
        """
        trained = self._trained_labels
        if trained is None:
            return None
        if not all(key.isdigit() for key in trained):
            raise UsageError(
                "this network was trained on labels by name, and a label map has numbers.",
                where="--truth-mask",
                fix="Say which number is which class, such as --set masks.labels={5: 1}.",
            )
        return {int(key): int(value) for key, value in trained.items() if isinstance(value, int)}

    @property
    def names(self) -> tuple[str, ...]:
        """As the network calls its classes."""
        return self._denoiser.class_names

    @property
    def record(self) -> dict[str, JsonValue]:
        """The network, by kind and digest."""
        return {"from": self._denoiser.name, "model_digest": self._denoiser.digest}

    @property
    def words(self) -> str:
        """As on the command line."""
        return "--segment-with MODEL"

    def check(self, geometry: Geometry, *, tests: int) -> None:
        """Nothing can be wrong: the network labels any image."""

    @property
    def labels_tests(self) -> bool:
        """Always: the network labels any image."""
        return True

    def of(self, number: int, image: SeriesReader, *, progress: Progress) -> LabelArray:
        """The network's labels of an image; see `MaskSource`."""
        del number
        volume = image.read(slice(None))
        _, estimates = self._denoiser.with_estimates(volume, labels=True, progress=progress)
        return cast("LabelArray", estimates.labels)  # asked for, so it is there
