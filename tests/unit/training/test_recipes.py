"""Every ready settings file of `train` loads, builds its network and takes a step."""

from __future__ import annotations

import math

import pytest

from ctdenoise.config.load import load_settings, ready_settings_folder
from ctdenoise.config.networks import IdentitySettings, takes_noise
from ctdenoise.config.supervision import needs_pairs
from ctdenoise.config.training import TrainSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.networks.build import build_network
from ctdenoise.networks.catalogue import EVERY
from ctdenoise.networks.checkpoint import Checkpoint, save_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training.records import read_metrics
from tests.unit.training.scans import scan

FOLDER = ready_settings_folder() / "train"
RECIPES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def recipe(name):
    return load_settings(TrainSettings, FOLDER / f"{name}.yaml")


def once(settings):
    """The recipe for one step of as few patches as the memory of a test machine likes."""
    validation = {"every": 1, "slices": 1, "crop": settings.patches.size, "pictures": {"slices": 0}}
    validation["metric"] = settings.validation.metric
    return settings.replaced(
        steps=1,
        batch_size=settings.accumulate,
        validation=validation,
        device="cpu",
        precision="float32",
        noise={"name": "from_pair"},  # fresh noise needs the record of a simulation
    )


def started(settings, folder):
    """A checkpoint to start from."""
    network = settings.network.replaced(head=None)
    scale = HuRange(settings.hu_range.low, settings.hu_range.high)
    weights = build_network(network).state_dict()
    return save_checkpoint(folder / "model.safetensors", Checkpoint(network, weights, scale))


@pytest.mark.parametrize("name", RECIPES)
def test_a_ready_file_trains(name, make_pair, tmp_path):
    settings = once(recipe(name))
    if settings.init is not None:
        settings = settings.replaced(
            init=settings.init.replaced(**{"from": started(settings, tmp_path)})
        )
    if needs_pairs(settings.supervision):
        names = dict(enumerate(settings.data.labels or (), start=1))
        size = settings.patches.window + 8
        folder = make_pair(size=size, slices=3, labelled=True, label_names=names).folder
    else:
        folder = scan(tmp_path / "study", slices=15, size=settings.patches.size + 8)
    report = task.run([folder], settings, out=tmp_path / "model")
    assert (report.steps, report.stopped) == (1, "finished")
    assert math.isfinite(float(read_metrics(tmp_path / "model")[0]["loss"]))


def test_every_network_of_the_catalogue_has_a_ready_file():
    ready = [recipe(name).network for name in RECIPES]
    # Some have a file in which they are told the noise, and no other.
    ready += [one.model_copy(update={"noise_input": False}) for one in ready if takes_noise(one)]
    missing = [settings for settings, _ in EVERY if settings not in ready]
    assert missing == [IdentitySettings()]
