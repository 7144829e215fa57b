"""The evidence beside released models: how they do on pairs that no training has seen.

    python -m tests.perf.study_release STEPS --work FOLDER --model NAME=MODEL ...
        [--held-out [NAME:]SERIES=MODEL ...] [--one-dose MODEL] [--data FOLDER] [--slices 4]
        [--sources NAMES] [--strengths 0.6 0.75 0.85 1] [--recommended 0.75]
        [--doses ...] [--kernels ...] [--slow-doses 0.5 0.25 0.1]
        [--filters gaussian nlm tv] [--contrast-kernels smooth sharp]
        [--contrast-doses 0.25 0.1] [--pictures FOLDER] [--seen FILE.json]

STEPS are some of these, done in this order; each goes on where it was stopped:

* `pairs`: five real series at 75 to 5 % of the dose, with their own, a smooth and a sharp kernel,
  and torsos whose truth is exact, by body part, thickness and field of view;
* `scores`: PSNR and SSIM in the soft-tissue window, RMSE, bias of each tissue and frequency of the
  noise, for the models and for filters that are told the true noise;
* `contrast`: contrast recovery and detectability of lesions that are put into the low doses;
* `worst`: pictures of the worst places, found by the measures of `evaluate --study scan`;
* `tables`: `results-NAME.json` for `models add --results`, and `models.md` with the same tables.

A model is a checkpoint, the folder of a training run or the name of a released one. `--held-out`
names a model that was trained without a patient, for that patient's series; NAME is the first
model unless given. Filters are told the true noise; models measure it, and are tried once more
being told it. `--one-dose` is a RED-CNN trained at a quarter of the dose. Slow methods
(RED-CNN) are tried at the slow doses alone, BM3D, where its package is installed, at a quarter of
the dose. `--doses` and `--kernels` leave out the others. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from tests.perf.study_release_contrast import observe
from tests.perf.study_release_found import told
from tests.perf.study_release_measures import Method, cases_of, score
from tests.perf.study_release_pairs import (
    MAIN_TORSOS,
    PATIENTS,
    TORSOS,
    TRAINED_ON,
    make_pairs,
    wanted_pairs,
)
from tests.perf.study_release_tables import write_tables
from tests.perf.study_release_worst import find_worst

LIKE_MODELS = ("nlm", "tv")
"""Filters that lesions are tried with as well."""

STEPS = ("pairs", "scores", "contrast", "worst", "tables")


def main() -> None:
    """Do what is asked for."""
    torch.set_num_threads(1)
    asked = _asked()
    asked.work.mkdir(parents=True, exist_ok=True)
    pairs, scores, lesions = (
        asked.work / name for name in ("pairs", "scores.json", "contrast.json")
    )
    models = _models(asked)
    if "pairs" in asked.steps:
        for wanted in wanted_pairs(asked.sources):
            make_pairs(wanted, data=asked.data, slices=asked.slices, out=pairs)
            print(wanted.name, flush=True)
    if "scores" in asked.steps:
        score(
            cases_of(pairs, asked.sources, asked.doses, asked.kernels),
            [*models, *_others(asked, models)],
            scores,
        )
    if "contrast" in asked.steps:
        methods = [
            Method(model.name, model.model, (asked.recommended,), held_out=model.held_out)
            for model in models
        ]
        methods += [Method(name, name, told=True) for name in asked.filters if name in LIKE_MODELS]
        sources = [name for name in asked.sources if name not in TORSOS or name in MAIN_TORSOS]
        observe(
            cases_of(pairs, sources, asked.contrast_doses, asked.contrast_kernels),
            methods,
            scores,
            lesions,
        )
    if "worst" in asked.steps:
        real = [name for name in asked.sources if name in TRAINED_ON]
        for model in models:
            file = asked.work / f"worst-{model.name}.json"
            cases = cases_of(pairs, real, (0.25, 0.1), asked.kernels)
            find_worst(cases, model, asked.recommended, asked.pictures, file)
    if "tables" in asked.steps:
        for model in models:
            write_tables(model.name, asked.recommended, asked.work, seen=_seen(asked.seen))


def _asked() -> argparse.Namespace:
    data = Path(os.environ.get("CTDENOISE_TESTDATA", "../shared/ctdata"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("steps", nargs="+", choices=STEPS)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--model", nargs="+", default=[], metavar="NAME=MODEL")
    parser.add_argument("--held-out", nargs="+", default=[], metavar="[NAME:]SERIES=MODEL")
    parser.add_argument("--one-dose")
    parser.add_argument("--filters", nargs="*", default=["gaussian", "nlm", "tv"])
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--sources", nargs="+", default=[*PATIENTS, *TORSOS])
    parser.add_argument("--doses", nargs="*", type=float, default=[])
    parser.add_argument("--kernels", nargs="*", default=[])
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.6, 0.75, 0.85, 1.0])
    parser.add_argument("--recommended", type=float, default=0.75)
    parser.add_argument("--slow-doses", nargs="+", type=float, default=[0.5, 0.25, 0.1])
    parser.add_argument("--contrast-kernels", nargs="+", default=["smooth", "sharp"])
    parser.add_argument("--contrast-doses", nargs="+", type=float, default=[0.25, 0.1])
    parser.add_argument("--pictures", type=Path, default=Path("docs/images"))
    parser.add_argument("--seen", type=Path)
    return parser.parse_args()


def _models(asked: argparse.Namespace) -> list[Method]:
    """The released models, each with the checkpoints that were trained without a patient."""
    named = [text.split("=", 1) for text in asked.model]
    held: dict[str, dict[str, str]] = {name: {} for name, _ in named}
    for text in asked.held_out:
        where, path = text.split("=", 1)
        name, _, series = where.rpartition(":")
        held[name or named[0][0]][series] = path
    return [
        Method(
            name,
            path,
            tuple(sorted({*asked.strengths, asked.recommended})),
            held_out=held[name],
            doses=tuple(asked.slow_doses) if name == "redcnn" else (),
            measured=(asked.recommended, 1.0),
        )
        for name, path in named
    ]


def _others(asked: argparse.Namespace, models: Sequence[Method]) -> list[Method]:
    """What the models are compared with, and the models when they are told what filters are."""
    slow = tuple(asked.slow_doses)
    found = [
        Method(
            told(model.name),
            model.model,
            (asked.recommended,),
            told=True,
            held_out=model.held_out,
            doses=slow,
            measured=(asked.recommended,),
        )
        for model in models
    ]
    found += [Method(name, name, told=True) for name in asked.filters if name != "bm3d"]
    if asked.one_dose is not None:
        found.append(Method("RED-CNN, one dose", asked.one_dose, doses=slow))
    if "bm3d" in asked.filters:
        found.append(Method("bm3d", "bm3d", told=True, doses=(0.25,)))
    return found


def _seen(file: Path | None) -> dict[str, str]:
    """What a person saw in each picture, by its file name."""
    if file is None:
        return {}
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
