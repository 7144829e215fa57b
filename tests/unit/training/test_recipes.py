"""Every ready settings file of `train` loads, builds its network and takes a step."""

from __future__ import annotations

import math

import pytest

from ctdenoise.config.load import load_settings, ready_settings_folder
from ctdenoise.config.networks import IdentitySettings
from ctdenoise.config.training import TrainSettings
from ctdenoise.networks.catalogue import EVERY
from ctdenoise.tasks import train as task
from ctdenoise.training.records import read_metrics

FOLDER = ready_settings_folder() / "train"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe(name):
    return load_settings(TrainSettings, FOLDER / f"{name}.yaml")


def once(settings):
    """The recipe for one step of as few patches as the memory of a test machine likes."""
    validation = {"every": 1, "slices": 1, "crop": settings.patches.size, "pictures": {"slices": 0}}
    return settings.replaced(
        steps=1,
        batch_size=settings.accumulate,
        validation=validation,
        device="cpu",
        precision="float32",
        noise={"name": "from_pair"},  # fresh noise needs the record of a simulation
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_ready_file_trains(name, make_pair, tmp_path):
    settings = once(recipe(name))
    names = dict(enumerate(settings.data.labels or (), start=1))
    pair = make_pair(size=settings.patches.size + 8, slices=3, labelled=True, label_names=names)
    report = task.run([pair.folder], settings, out=tmp_path / "model")
    assert (report.steps, report.stopped) == (1, "finished")
    assert math.isfinite(float(read_metrics(tmp_path / "model")[0]["loss"]))


def test_every_network_of_the_catalogue_has_a_ready_file():
    ready = [recipe(name).network for name in RECIPES]
    missing = [settings for settings, _ in EVERY if settings not in ready]
    assert missing == [IdentitySettings()]
