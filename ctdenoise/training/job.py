"""Everything a run needs, put together and checked before the first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ctdenoise.config.losses import LossSettings, PerceptualSettings
from ctdenoise.config.networks import segmentation_classes
from ctdenoise.config.training import NoiseSettings, PairNoiseSettings, TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import CheckpointError, PairsError, SettingsError, SimulationError, listed
from ctdenoise.io.pair_images import PADDING_HU
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.pairs import PairFiles
from ctdenoise.losses.build import Loss, build_loss
from ctdenoise.losses.perceptual import FrozenEncoder
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork
from ctdenoise.simulation.fresh_noise import FreshNoise
from ctdenoise.simulation.recorded import recorded_scan
from ctdenoise.training.labels import ClassTable, class_shares, class_tables, require_labels
from ctdenoise.training.optimizers import build_optimizer
from ctdenoise.training.patches import BatchPlans, PatchBatches, PatchSource
from ctdenoise.training.split import SliceRange, Split, split_pairs
from ctdenoise.training.state import RunIdentity
from ctdenoise.training.step import Precision, choose_device, choose_precision
from ctdenoise.training.validation import Validator, choose_slices

_log = logging.getLogger(__name__)

_NEW_PARTS = ("head.", "sigma.")
"""Parts of a network that may be new when the rest starts from a checkpoint."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """What the loop works with.

    Args:
        settings: What was asked for.
        identity: Seed, data and arithmetic.
        network: On its device, in training mode.
        optimizer: Over the network's parameters.
        loss: What is made small.
        batches: One for every step.
        validator: Measures the network.
        hu_range: The network's scale.
        device: Where it runs.
        precision: Number format of the layers.
        trained_on: What the training data were, plain JSON, for the checkpoint.
    """

    settings: TrainSettings
    identity: RunIdentity
    network: DenoisingNetwork
    optimizer: torch.optim.Optimizer
    loss: Loss
    batches: PatchBatches
    validator: Validator
    hu_range: HuRange
    device: torch.device
    precision: Precision
    trained_on: dict[str, JsonValue]


def prepare_job(pairs: Sequence[PairFiles], settings: TrainSettings, *, seed: int) -> TrainingJob:
    """Check settings against the network, split the data, build everything.

    Args:
        pairs: As found by `find_pairs`.
        settings: What is asked for.
        seed: Decides the first weights, the split and every patch.

    Raises:
        SettingsError: If settings, network and data do not fit each other.
        PairsError: If the pairs cannot be used for this.
        CheckpointError: If `init_from` does not fit.
    """
    device = choose_device(settings)
    precision = choose_precision(settings, device)
    hu_range = HuRange(settings.hu_range.low, settings.hu_range.high)
    network = _first_network(settings, hu_range, seed)
    _require_fitting(settings, network.constraints)
    network = network.to(device)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it alone
    network.train()
    classes = segmentation_classes(settings.network)
    if classes is not None:
        require_labels(pairs)
    split = split_pairs(pairs, settings.validation, seed=seed)
    tables = _tables(split, settings, classes)
    plans = BatchPlans(
        [_source(part, tables, settings.noise) for part in split.train],
        settings.patches,
        batch_size=settings.batch_size,
        steps=settings.steps,
        seed=seed,
        doses=_doses(settings.noise),
    )
    slices = choose_slices(
        split.validation,
        settings.validation,
        tables=tables,
        multiple_of=network.constraints.multiple_of,
    )
    return TrainingJob(
        settings=settings,
        identity=RunIdentity(seed, data_digest(pairs), _arithmetic(device, precision)),
        network=network,
        optimizer=build_optimizer(settings.optimizer, network),
        loss=build_loss(settings.loss, hu_range, encoder=_encoder(settings.loss)),
        batches=PatchBatches(plans, hu_range, device),
        validator=Validator(slices, hu_range, device),
        hu_range=hu_range,
        device=device,
        precision=precision,
        trained_on=_trained_on(split, settings.noise),
    )


def data_digest(pairs: Sequence[PairFiles]) -> str:
    """Digest of what the pairs hold, in order: equal for copies in another place."""
    manifests = [read_manifest(files.folder / MANIFEST_FILE) for files in pairs]
    return digest(
        [
            [
                manifest.patient_key,
                manifest.full.sha256,
                [[image.sha256, exposure.dose_fraction] for image, exposure in manifest.low],
                None if manifest.labels is None else manifest.labels.sha256,
            ]
            for manifest in manifests
        ]
    )


def _arithmetic(device: torch.device, precision: Precision) -> str:
    """What the last bits of a result depend on: sums are cut differently for each."""
    where = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu with {torch.get_num_threads()} threads"
    )
    return f"{where}, {precision}"


def _first_network(settings: TrainSettings, hu_range: HuRange, seed: int) -> DenoisingNetwork:
    generator = torch.Generator().manual_seed(draw_seed(stream(seed, "weights")))
    network = build_network(settings.network, generator=generator)
    if settings.init_from is not None:
        _start_from(settings.init_from, network, hu_range)
    return network


def _start_from(path: Path, network: DenoisingNetwork, hu_range: HuRange) -> None:
    checkpoint = load_checkpoint(path)
    if checkpoint.hu_range != hu_range:
        found = checkpoint.hu_range
        raise SettingsError(
            f"the checkpoint to start from was trained for {found.low:g} to {found.high:g} HU, "
            f"not {hu_range.low:g} to {hu_range.high:g} HU.",
            where="init_from",
            fix=f"Set hu_range.low={found.low:g} and hu_range.high={found.high:g}.",
        )
    fresh = network.state_dict()
    problems = [
        f"{name} is {tuple(checkpoint.weights[name].shape)}, not {tuple(tensor.shape)}"
        if name in checkpoint.weights
        else f"{name} is missing"
        for name, tensor in fresh.items()
        if (name not in checkpoint.weights and not name.startswith(_NEW_PARTS))
        or (name in checkpoint.weights and checkpoint.weights[name].shape != tensor.shape)
    ]
    if problems:
        raise CheckpointError(
            f"these weights do not fit the network to be trained:\n{listed(problems)}",
            where=path,
            fix="Use the checkpoint's own network settings under `network`.",
        )
    taken = {name: checkpoint.weights[name] for name in fresh if name in checkpoint.weights}
    network.load_state_dict({**fresh, **taken})
    new = [name for name in fresh if name not in taken]
    _log.info("Start from checkpoint %s; new: %s.", checkpoint.digest, ", ".join(new) or "nothing")
    _log.warning(
        "Validation holds out patients of this run; the checkpoint to start from may have learnt "
        "from them. Judge the result on patients that neither run has seen."
    )


def _encoder(loss: LossSettings) -> FrozenEncoder | None:
    """The encoder that a perceptual term names; None for random filters, or without such a term."""
    for term in loss.terms:
        if isinstance(term, PerceptualSettings) and term.encoder is not None:
            checkpoint = load_checkpoint(term.encoder)
            names = [f"conv{number}" for number in range(1, term.layers + 1)]
            if checkpoint.network.name != "redcnn":
                raise CheckpointError(
                    f"the encoder of the perceptual loss must be a redcnn, not "
                    f"`{checkpoint.network.name}`.",
                    where=term.encoder,
                )
            weights = checkpoint.weights
            return FrozenEncoder([(weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in names])
    return None


def _require_fitting(settings: TrainSettings, constraints: Constraints) -> None:
    """Refuse sizes that the network cannot take, before any data is read."""
    problems = []
    sizes = {"patches.size": settings.patches.size}
    if settings.validation.crop is not None:
        sizes["validation.crop"] = settings.validation.crop
    for key, size in sizes.items():
        if size < constraints.smallest_input:
            problems.append(
                f"{key} is {size}, but the network needs at least {constraints.smallest_input}"
            )
    smallest = settings.loss.smallest_patch
    if settings.patches.size < smallest:
        problems.append(f"patches.size must be at least {smallest} for the loss `ms_ssim`")
    if settings.patches.size % constraints.multiple_of:
        problems.append(f"patches.size must be a multiple of {constraints.multiple_of}")
    if constraints.input_channels != 1:
        problems.append(
            f"the network takes {constraints.input_channels} slices at a time; training gives one"
        )
    if problems:
        raise SettingsError(
            f"these settings do not fit the network `{settings.network.name}`:\n{listed(problems)}"
        )


def _tables(
    split: Split, settings: TrainSettings, classes: int | None
) -> dict[str, ClassTable] | None:
    if classes is None:
        return None
    tables = class_tables((*split.train, *split.validation), settings.data.labels, classes=classes)
    shares = class_shares(split.train, tables)
    _log.info(
        "Classes in the training slices: %s.",
        ", ".join(f"{number}: {share:.2%}" for number, share in enumerate(shares)),
    )
    return tables


def _source(
    part: SliceRange, tables: dict[str, ClassTable] | None, noise: NoiseSettings
) -> PatchSource:
    arrays = part.files.open()
    kept = slice(part.start, part.stop)
    # Plain views of the maps: indexing np.memmap itself costs microseconds more each time.
    labels = None if tables is None or arrays.labels is None else np.asarray(arrays.labels[kept])
    return PatchSource(
        full=np.asarray(arrays.full[kept]),
        low=tuple(np.asarray(low[kept]) for low in arrays.low),
        labels=labels,
        classes=None if tables is None else tables[str(part.files.folder)],
        fresh=_fresh(part, noise),
    )


def _doses(noise: NoiseSettings) -> tuple[float, float] | None:
    """Range of doses of fresh noise; None where the noise of the pairs is used."""
    if isinstance(noise, PairNoiseSettings):
        return None
    return noise.lowest_dose, noise.highest_dose


def _fresh(part: SliceRange, noise: NoiseSettings) -> FreshNoise | None:
    """Fresh noise for some slices, as the simulation of their first twin was calibrated."""
    doses, files = _doses(noise), part.files
    if doses is None:
        return None
    image, _ = read_manifest(files.folder / MANIFEST_FILE).low[0]
    try:
        scan = recorded_scan(image.history, geometry=files.geometry, acquisition=files.acquisition)
    except SimulationError as error:
        raise PairsError(
            f"fresh noise cannot be drawn for this pair: {error.what}",
            where=files.folder,
            fix=f"{error.fix or ''} Or train with noise.name=from_pair.".strip(),
        ) from error
    stored = files.open().full[part.start : part.stop]
    return FreshNoise(scan, stored, padding=PADDING_HU, first=part.start, doses=doses)


def _trained_on(split: Split, noise: NoiseSettings) -> dict[str, JsonValue]:
    """Within which limits the training data were: outside of them a network was never tried."""
    pairs = [part.files for part in split.train]
    exposures = [low.exposure for files in pairs for low in files.low]
    doses = _doses(noise) or [exposure.dose_fraction for exposure in exposures]
    return {
        "patients": len({files.patient_key for files in pairs}),
        "held_out_patients": split.held_out_patients,
        "series": len(pairs),
        "slices": sum(part.slices for part in split.train),
        "dose_fraction": _limits(doses),
        "noise": noise.name,
        "low_noise_hu": _limits([exposure.low_noise_hu for exposure in exposures]),
        "pixel_spacing_mm": _limits([s for files in pairs for s in files.pixel_spacing_mm]),
        "slice_thickness_mm": _limits([files.slice_thickness_mm for files in pairs]),
        "kvp": _limits([files.kvp for files in pairs]),
        "kernels": sorted({files.kernel for files in pairs if files.kernel}),
    }


def _limits(values: Sequence[float | None]) -> list[float] | None:
    """Least and greatest of the known values, or None if none is known."""
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None


def device_name(device: torch.device) -> str:
    """What a device is called in `run.json`: its type, and which GPU."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type
