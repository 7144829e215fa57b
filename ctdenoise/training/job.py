"""Everything a run needs, put together and checked before the first step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ctdenoise.config.losses import LossSettings, PerceptualSettings
from ctdenoise.config.networks import (
    segmentation_classes,
    slices_seen,
    states_error,
    takes_noise,
)
from ctdenoise.config.supervision import needs_pairs
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.errors import CheckpointError, SettingsError, listed
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.staged_scan import StagedScan
from ctdenoise.losses.build import Loss, build_loss
from ctdenoise.losses.perceptual import FrozenEncoder
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.networks.prediction import Constraints, DenoisingNetwork
from ctdenoise.training.averages import WeightAverage
from ctdenoise.training.batches import PatchBatch
from ctdenoise.training.compiled import compiled
from ctdenoise.training.distributed import ALONE, Peers
from ctdenoise.training.finiteness import Guard
from ctdenoise.training.frozen import Learning, freeze
from ctdenoise.training.judged import judged_slices
from ctdenoise.training.kept import choose_place, in_memory
from ctdenoise.training.labels import require_labels, trained_classes, warn_of_unjudged
from ctdenoise.training.optimizers import build_optimizer
from ctdenoise.training.patches import BatchTransform, PatchBatches
from ctdenoise.training.plans import BatchPlans
from ctdenoise.training.prefetch import threads_for
from ctdenoise.training.shares import ShareOfPlans
from ctdenoise.training.sources import Sources, doses_drawn, require_fitting_kind
from ctdenoise.training.split import SliceRange, Split, TrainingScan, split_pairs
from ctdenoise.training.start import (
    Start,
    patients_judging,
    patients_seen,
    require_unseen,
    start_from,
)
from ctdenoise.training.state import RunIdentity
from ctdenoise.training.step import Precision, choose_device, choose_precision
from ctdenoise.training.training_range import training_range
from ctdenoise.training.validation import ValidationSlice, Validator, choose_slices

_log = logging.getLogger(__name__)

_STEPS_LOOKED_AT = 8
"""Steps whose patches tell how noisy the training is."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingJob:
    """What the loop works with.

    Args:
        settings: What was asked for.
        identity: Seed, data and arithmetic.
        network: On its device, in training mode.
        model: The same weights as a step calls them: compiled, shared with other processes.
        average: The running mean of the weights, if there is one.
        optimizer: Over the network's parameters.
        loss: What is made small.
        plans: Where the patches of every step come from, over all processes.
        batches: One for every step, of this process.
        data_threads: Threads that prepare them while the network computes.
        parts: Which slices each source of the plans is.
        validator: Measures the network.
        guard: Looks for numbers that are not finite.
        hu_range: The network's scale.
        device: Where it runs.
        precision: Number format of the layers.
        peers: The processes that train together.
        trained_on: What the training data were, plain JSON, for the checkpoint.
        patients: Digests of all patients that the weights learn from; None where unknown.
        judges: Digests of the patients that decide which step is kept.
        start: Which weights came from a checkpoint.
        learning: How much of the network learns.
        class_names: Name of each class that the network labels, background first; empty without a
            segmentation head.
    """

    settings: TrainSettings
    identity: RunIdentity
    network: DenoisingNetwork
    model: nn.Module
    average: WeightAverage | None
    optimizer: torch.optim.Optimizer
    loss: Loss
    plans: BatchPlans
    batches: PatchBatches
    data_threads: int
    parts: tuple[SliceRange, ...]
    validator: Validator
    guard: Guard
    hu_range: HuRange
    device: torch.device
    precision: Precision
    peers: Peers
    trained_on: dict[str, JsonValue]
    patients: list[str] | None
    judges: list[str]
    start: Start
    learning: Learning
    class_names: tuple[str, ...] = ()

    @property
    def judged(self) -> DenoisingNetwork:
        """The network that is measured and kept."""
        return self.network if self.average is None else self.average.network

    def whole_batch(self, step: int) -> PatchBatch:
        """The patches of a step of all processes."""
        transforms = self.batches.transforms
        return PatchBatches(self.plans, self.hu_range, self.device, transforms)[step]


def prepare_job(
    scans: Sequence[TrainingScan],
    settings: TrainSettings,
    *,
    seed: int,
    peers: Peers = ALONE,
    transforms: Sequence[BatchTransform] = (),
) -> TrainingJob:
    """Check settings against the network, split the data, build everything.

    Args:
        scans: Pairs as found by `find_pairs`, or plain scans (`stage_scans`).
        settings: What is asked for.
        seed: Decides the first weights, the split and every patch.
        peers: The processes that train together; each prepares its own job.
        transforms: What further is done to the patches.

    Raises:
        UsageError: If plain scans were given where pairs are needed, or the reverse.
        SettingsError: If settings, network and data do not fit each other.
        PairsError: If the pairs cannot be used for this.
        CheckpointError: If the checkpoint to start from does not fit.
    """
    require_fitting_kind(scans, pairs=needs_pairs(settings.supervision))
    device = choose_device(settings, peers)
    precision = choose_precision(settings, device)
    hu_range = HuRange(settings.hu_range.low, settings.hu_range.high)
    generator = torch.Generator().manual_seed(draw_seed(stream(seed, "weights")))
    network = build_network(settings.network, generator=generator)
    start = start_from(settings, network, hu_range, seed=seed)
    _require_fitting(settings, network.constraints, peers)
    network = network.to(device)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it alone
    learning = freeze(network, settings)
    classes = segmentation_classes(settings.network)
    if classes is not None:
        require_labels(scans)
    split = split_pairs(scans, settings.validation, seed=seed)
    require_unseen(split, start, settings)
    names, tables = trained_classes(split, settings.data, classes=classes)
    maker = Sources(settings, tables)
    sources = tuple(maker.of(part) for part in split.train)
    place = choose_place(settings.data, sources, device, peers)
    plans = BatchPlans(
        in_memory(sources) if place == "memory" else sources,
        settings.patches,
        batch_size=settings.batch_size,
        steps=settings.steps,
        seed=seed,
        doses=doses_drawn(settings),
    )
    slices = _slices(split, settings, maker, network.constraints, seed)
    warn_of_unjudged([one.labels for one in slices], names)
    loss = build_loss(settings.loss, hu_range, encoder=_encoder(settings.loss))
    share = ShareOfPlans(plans, rank=peers.rank, world=peers.world)
    guard, optimizer = Guard(device, peers), build_optimizer(settings.optimizer, network)
    guard.protect(optimizer)
    batches = PatchBatches(share, hu_range, device, transforms, on_device=place == "device")
    return TrainingJob(
        settings=settings,
        identity=RunIdentity(seed, data_digest(scans), _arithmetic(device, precision, peers)),
        network=network,
        model=_model(network, settings, device, peers),
        average=None if settings.ema is None else WeightAverage(settings.ema, network),
        optimizer=optimizer,
        loss=loss,
        plans=plans,
        batches=batches,
        data_threads=threads_for(settings.data, device, peers),
        parts=split.train,
        validator=Validator(slices, hu_range, device, loss, settings.validation, peers),
        guard=guard,
        hu_range=hu_range,
        device=device,
        precision=precision,
        peers=peers,
        trained_on={**_trained_on(split, settings), **_told_noise(batches, hu_range)},
        patients=patients_seen(split, start),
        judges=patients_judging(split),
        start=start,
        learning=learning,
        class_names=names,
    )


def _slices(
    split: Split,
    settings: TrainSettings,
    sources: Sources,
    constraints: Constraints,
    seed: int,
) -> tuple[ValidationSlice, ...]:
    """The slices that judge."""
    if settings.supervision.name != "pairs":
        return judged_slices(
            split.validation,
            settings,
            sources,
            multiple_of=constraints.multiple_of,
            seed=seed,
        )
    return choose_slices(
        split.validation,
        settings.validation,
        tables=sources.tables,
        multiple_of=constraints.multiple_of,
        with_noise=takes_noise(settings.network),
        slices=slices_seen(settings.network),
    )


def _model(
    network: DenoisingNetwork, settings: TrainSettings, device: torch.device, peers: Peers
) -> nn.Module:
    """What a training step calls in place of the network."""
    model = compiled(network, device) if settings.compile else network
    states_unused_error = states_error(settings.network) and not settings.loss.needs_sigma
    unused_image = not settings.loss.looks_at_image and settings.freezes != "trunk"
    return peers.shared(model, device, has_unused=states_unused_error or unused_image)


def data_digest(scans: Sequence[TrainingScan]) -> str:
    """Digest of what pairs or scans hold, in order: equal for copies in another place."""
    return digest([_content(files) for files in scans])


def _content(files: TrainingScan) -> list[JsonValue]:
    if isinstance(files, StagedScan):
        return [files.patient_key, files.sha256]
    manifest = read_manifest(files.folder / MANIFEST_FILE)
    return [
        manifest.patient_key,
        manifest.full.sha256,
        [[image.sha256, exposure.dose_fraction] for image, exposure in manifest.low],
        None if manifest.labels is None else manifest.labels.sha256,
    ]


def _arithmetic(device: torch.device, precision: Precision, peers: Peers) -> str:
    """What the last bits of a result depend on: sums are cut differently for each."""
    where = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu with {torch.get_num_threads()} threads"
    )
    processes = "" if peers.world == 1 else f"{peers.world} processes, "
    return f"{processes}{where}, {precision}"


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
            # Of a network that sees more, noise or neighbours, the filters of the image alone.
            middle = slices_seen(checkpoint.network) // 2
            first = checkpoint.weights["conv1.weight"][:, middle : middle + 1]
            weights = {**checkpoint.weights, "conv1.weight": first}
            return FrozenEncoder([(weights[f"{n}.weight"], weights[f"{n}.bias"]) for n in names])
    return None


def _require_fitting(settings: TrainSettings, constraints: Constraints, peers: Peers) -> None:
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
        if size < settings.loss.smallest_patch:
            smallest = settings.loss.smallest_patch
            problems.append(f"{key} must be at least {smallest} for the loss `ms_ssim`")
    pieces = settings.accumulate * peers.world
    if settings.batch_size % pieces:
        problems.append(
            f"batch_size is {settings.batch_size}, which {peers.world} processes with "
            f"accumulate={settings.accumulate} cannot share out evenly"
        )
    if settings.patches.size % constraints.multiple_of:
        problems.append(f"patches.size must be a multiple of {constraints.multiple_of}")
    if problems:
        raise SettingsError(
            f"these settings do not fit the network `{settings.network.name}`:\n{listed(problems)}"
        )


def _trained_on(split: Split, settings: TrainSettings) -> dict[str, JsonValue]:
    """Within which limits the training data were: outside of them a network was never tried."""
    pairs = [part.files for part in split.train]
    exposures = [low.exposure for files in pairs for low in files.low]
    doses = doses_drawn(settings) or [exposure.dose_fraction for exposure in exposures]
    about: dict[str, JsonValue] = {
        "patients": len({files.patient_key for files in pairs}),
        "held_out_patients": split.held_out_patients,
        "series": len(pairs),
        "slices": sum(part.slices for part in split.train),
        "dose_fraction": _limits(doses),
        "noise": settings.noise.name,
        "low_noise_hu": _limits([exposure.low_noise_hu for exposure in exposures]),
        "pixel_spacing_mm": _limits([s for files in pairs for s in files.pixel_spacing_mm]),
        "slice_thickness_mm": _limits([files.slice_thickness_mm for files in pairs]),
        "kvp": _limits([files.kvp for files in pairs]),
        "kernels": sorted({files.kernel for files in pairs if files.kernel}),
        **training_range(split.train, settings),
    }
    name = settings.supervision.name
    return about if name == "pairs" else {**about, "supervision": name}


def _told_noise(batches: PatchBatches, hu_range: HuRange) -> dict[str, JsonValue]:
    """Between which limits the noise lies that the network is told in its first steps, HU."""
    first = [batches[step].noise for step in range(min(len(batches), _STEPS_LOOKED_AT))]
    told = [float(sd) for noise in first if noise is not None for sd in noise.mean(dim=(1, 2, 3))]
    limits = _limits([round(sd * hu_range.width_hu, 1) for sd in told])
    return {} if limits is None else {"told_noise_hu": limits}


def _limits(values: Sequence[float | None]) -> list[float] | None:
    """Least and greatest of the known values, or None if none is known."""
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None


def device_name(device: torch.device) -> str:
    """What a device is called in `run.json`: its type, and which GPU."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return device.type
