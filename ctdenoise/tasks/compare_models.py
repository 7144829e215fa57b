"""The networks of a comparison: what they are, what they cost, whom they have seen.

Classical filters stand among them by their names. They were trained on nobody and have no weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ctdenoise.config.classical import FILTERS
from ctdenoise.config.controls import FULL_STRENGTH
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.model_card import ModelCard
from ctdenoise.errors import UsageError
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.runfile import training_record
from ctdenoise.networks.catalogue import facts_of
from ctdenoise.networks.checkpoint import Checkpoint, load_model
from ctdenoise.networks.released import PREFIX, meant
from ctdenoise.report.compared import LOW_DOSE, Contender, Training
from ctdenoise.training.records import read_metrics
from ctdenoise.training.start import digest_of


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network, or a filter, as it was given.

    Args:
        path: Run folder, checkpoint file, or name of a filter.
        row: What the table says about it.
        seen: Digests of the patients it was trained on; None where the checkpoint does not say.
        judges: Digests of the patients that chose its best step, as far as is known.
    """

    path: Path
    row: Contender
    seen: frozenset[str] | None
    judges: frozenset[str]

    def warned(self, patients: Iterable[str]) -> Model:
        """With a sentence for each reason why its figures on some patients may flatter.

        Args:
            patients: Keys of the patients of the test; empty for one without a key.
        """
        keys = sorted(set(patients))
        known = [key for key in keys if key]
        found = []
        trained = [key for key in known if digest_of(key) in (self.seen or ())]
        if trained:
            found.append(
                f"TRAINED ON A TEST PATIENT ({', '.join(trained)}): the figures flatter and must "
                "not be compared."
            )
        if self.seen is None:
            found.append(
                "The file does not say whom it was trained on; a test patient may be among them."
            )
        elif self.seen and len(known) < len(keys):
            found.append("Some pairs have no patient key; their patient may have been trained on.")
        judged = [key for key in known if digest_of(key) in self.judges]
        if judged:
            found.append(
                f"A test patient ({', '.join(judged)}) chose the step at which it was kept: the "
                "figures flatter a little."
            )
        return replace(self, row=replace(self.row, warnings=tuple(found)))


def read_models(
    paths: Sequence[Path],
    *,
    infer: InferSettings,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    notes: Sequence[str] | None = None,
) -> tuple[Model, ...]:
    """The networks of a comparison, rows of one group together.

    Args:
        paths: Run folders of `train`, checkpoint files, names of released models or of classical
            filters.
        infer: How they are put to work.
        names: What to call them; None for their kinds of network, numbered where they repeat.
        groups: A group for each; None for none.
        notes: A few words for each; None for none.

    Raises:
        UsageError: If there is no model, or names, groups or notes do not match.
        CheckpointError: If one is no checkpoint.
    """
    if not paths:
        raise UsageError("there is no model to compare.", where="models")
    checkpoints = [None if str(path) in FILTERS else load_model(path) for path in paths]
    kinds = [
        path.name.removeprefix(PREFIX) if one is None or meant(path) else one.network.name
        for path, one in zip(paths, checkpoints, strict=True)
    ]
    called = _checked_names(paths, names, kinds)
    told = [
        _one_each(paths, words, option)
        for words, option in ((groups, "--groups"), (notes, "--notes"))
    ]
    models = [
        _filter(path, Contender(name, group, note), infer)
        if checkpoint is None
        else _model(path, checkpoint, Contender(name, group, note), infer)
        for path, checkpoint, name, group, note in zip(
            paths, checkpoints, called, *told, strict=True
        )
    ]
    order = {group: place for place, group in reversed(list(enumerate(told[0])))}
    return tuple(sorted(models, key=lambda model: order[model.row.group]))


def _checked_names(
    paths: Sequence[Path], names: Sequence[str] | None, kinds: Sequence[str]
) -> tuple[str, ...]:
    if names is None:
        repeated = {kind for kind in kinds if kinds.count(kind) > 1}
        return tuple(
            f"{kind} {kinds[: place + 1].count(kind)}" if kind in repeated else kind
            for place, kind in enumerate(kinds)
        )
    called = tuple(name.strip() for name in names)
    taken = {*called, LOW_DOSE}
    if len(called) != len(paths) or not all(called) or len(taken) != len(called) + 1:
        raise UsageError(
            f"{len(paths)} models need {len(paths)} different names other than {LOW_DOSE!r}, and "
            f"{len(called)} were given: {', '.join(called) or 'none'}.",
            where="--names",
        )
    return called


def _one_each(paths: Sequence[Path], words: Sequence[str] | None, option: str) -> tuple[str, ...]:
    if words is None:
        return ("",) * len(paths)
    if len(words) != len(paths):
        raise UsageError(
            f"{len(paths)} models need {len(paths)} of them, and {len(words)} were given.",
            where=option,
            fix="Give one for each model, in their order; '' for none.",
        )
    return tuple(word.strip() for word in words)


def _filter(path: Path, called: Contender, infer: InferSettings) -> Model:
    denoiser = load_denoiser(path, infer)
    row = replace(called, network=denoiser.name, digest=denoiser.digest, parameters=0)
    return Model(path, row, frozenset(), frozenset())


def _model(path: Path, checkpoint: Checkpoint, called: Contender, infer: InferSettings) -> Model:
    facts, release = facts_of(checkpoint.network), meant(path)
    run = training_record(path) if release is None else {}
    seen = checkpoint.training.get("trained_patients")
    row = replace(
        called,
        network=checkpoint.network.name,
        digest=checkpoint.digest,
        parameters=facts.parameters,
        operations=facts.operations,
        training=_training(path, checkpoint, run),
    )
    if release is not None:
        row = _as_released(row, release.card, infer)
    return Model(
        path,
        row,
        frozenset(map(str, seen)) if isinstance(seen, list) else None,
        _judges(checkpoint, run),
    )


def _as_released(row: Contender, card: ModelCard, infer: InferSettings) -> Contender:
    """What the card adds: the budget, and the strength where it is not the whole."""
    took, share = card.compute, infer.share(card.recommended)
    kept = infer.kept_below(card.recommended)
    words = (
        row.note,
        "" if share == FULL_STRENGTH else f"strength {share:g}",
        f"kept below {kept:g} /mm" if kept else "",
    )
    return replace(
        row,
        note=", ".join(filter(None, words)),
        training=replace(
            row.training, steps=took.steps, patches=took.patches, seconds=took.seconds
        ),
    )


def _judges(checkpoint: Checkpoint, run: Mapping[str, Any]) -> frozenset[str]:
    """Older checkpoints do not say it; the settings of their runs do where patients were named."""
    told = checkpoint.training.get("judging_patients")
    if isinstance(told, list):
        return frozenset(map(str, told))
    named = run.get("settings", {}).get("validation", {}).get("patients") or ()
    return frozenset(digest_of(str(key)) for key in named)


def _training(path: Path, checkpoint: Checkpoint, run: Mapping[str, Any]) -> Training:
    folder = path if path.is_dir() else path.parent
    rows = read_metrics(folder) if run else []
    curve = [
        (int(row["step"]), float(row["val_rmse_hu"])) for row in rows if row.get("val_rmse_hu")
    ]
    settings, results = run.get("settings", {}), run.get("results", {})
    steps = results.get("steps")
    batch = settings.get("batch_size")
    best = checkpoint.training.get("step")
    kept = [row for row in rows if int(row["step"]) == best]
    baseline = checkpoint.training.get("val_baseline_rmse_hu")
    seed = checkpoint.training.get("seed")
    return Training(
        steps=steps,
        best_step=best if isinstance(best, int) else None,
        patches=None if steps is None or batch is None else steps * batch,
        patch_size=settings.get("patches", {}).get("size"),
        seconds=run.get("timings_s", {}).get("steps"),
        doses=_doses(checkpoint.training.get("trained_on")),
        curve=tuple(curve),
        baseline_rmse_hu=baseline if isinstance(baseline, float) else None,
        dice=next((float(row["val_dice"]) for row in kept if row.get("val_dice")), None),
        seed=seed if isinstance(seed, int) else None,
    )


def _doses(trained_on: object) -> tuple[float, float] | None:
    doses = trained_on.get("dose_fraction") if isinstance(trained_on, Mapping) else None
    if isinstance(doses, list) and len(doses) == 2:
        return float(doses[0]), float(doses[1])
    return None
