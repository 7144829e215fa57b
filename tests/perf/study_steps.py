"""How fast a network learns with some settings: the loss over the first steps, on equal patches.

    python -m tests.perf.study_steps PAIRS --config redcnn_conditioned --steps 240 --set KEY=VALUE
        --try KEY=VALUE,KEY=VALUE --try ...

with folders of pairs that `simulate` made. Each `--try` adds its settings to those of `--set`, and
learns from the same patches in the same order as the others, as `train` would; nothing is judged or
written. Printed is the mean loss of each eighth of the steps, 10^-4, and the processor seconds that
they took. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.training import TrainSettings
from ctdenoise.io.pairs import PairFiles, find_pairs
from ctdenoise.training.job import TrainingJob, prepare_job
from ctdenoise.training.optimizers import learning_rate_at
from ctdenoise.training.step import training_step

PARTS = 8


def losses(job: TrainingJob, steps: int) -> tuple[list[float], float]:
    """The loss before each step, and processor seconds of all of them.

    Args:
        job: Fresh.
        steps: How many.
    """
    settings, found = job.settings, []
    job.network.train()
    start = time.process_time()
    for step in range(steps):
        rate = learning_rate_at(
            step,
            first=settings.optimizer.learning_rate,
            schedule=settings.schedule,
            steps=steps,
        )
        for group in job.optimizer.param_groups:
            group["lr"] = rate
        terms = training_step(
            job.model,
            job.optimizer,
            job.loss,
            job.batches[step],
            settings=settings,
            precision=job.precision,
            watch=job.guard,
        )
        found.append(float(terms.total))
    return found, time.process_time() - start


def tried(pairs: list[PairFiles], config: str, changes: Sequence[str], *, seed: int) -> TrainingJob:
    """What `train` would begin with.

    Args:
        pairs: To learn from.
        config: Name of the settings.
        changes: `key=value`.
        seed: Of the run.
    """
    settings = load_settings(TrainSettings, find_settings_file("train", config), changes)
    return prepare_job(pairs, settings, seed=seed)


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--config", default="redcnn_conditioned")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--try", action="append", default=[], dest="tries")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    pairs = find_pairs(chosen.pairs)
    for more in chosen.tries or [""]:
        changes = [*chosen.changes, *filter(None, more.split(",")), f"steps={chosen.steps}"]
        job = tried(pairs, chosen.config, changes, seed=chosen.seed)
        found, seconds = losses(job, chosen.steps)
        width = chosen.steps // PARTS
        means = [sum(found[k : k + width]) / width for k in range(0, width * PARTS, width)]
        row = " ".join(f"{1e4 * mean:.2f}" for mean in means)
        print(f"{more}: first {1e4 * found[0]:.2f}; {row}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
