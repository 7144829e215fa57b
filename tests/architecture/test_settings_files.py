"""Every settings file that comes with the program is one that its command accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctdenoise.config.base import Settings
from ctdenoise.config.batch import BatchSettings
from ctdenoise.config.comparison import CompareSettings
from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.config.demo import DemoSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.config.fusion import FuseSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.judgement import JudgeSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.config.model_card import CardWords
from ctdenoise.config.peers import PacsSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.config.qa import QaSettings
from ctdenoise.config.sampling import SampleSettings
from ctdenoise.config.serve import ServeSettings
from ctdenoise.config.training import TrainSettings

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").rglob("*"))
KINDS: dict[str, type[Settings]] = {
    "serve": ServeSettings,
    "simulate": SimulateSettings,
    "phantom": PhantomSettings,
    "train": TrainSettings,
    "infer": InferSettings,
    "evaluate": EvaluateSettings,
    "evaluate/judge": JudgeSettings,
    "evaluate/qa": QaSettings,
    "compare": CompareSettings,
    "fuse": FuseSettings,
    "demo": DemoSettings,
    "convert": ConvertSettings,
    "sample": SampleSettings,
    "pacs": PacsSettings,
    "batch": BatchSettings,
    "models": CardWords,
}
DEFAULTS = {
    "batch": "default",
    "serve": "default",
    "simulate": "default",
    "infer": "default",
    "evaluate": "default",
    "compare": "default",
    "train": "redcnn",
    "demo": "default",
    "convert": "default",
    "sample": "default",
    "pacs": "default",
}


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.is_file()], ids=lambda p: f"{p.parent.name}/{p.name}"
)
def test_a_ready_file_loads_and_says_what_it_is_for(path):
    assert path.suffix == ".yaml"
    assert path.parent.parent.name == "configs"
    settings = load_settings(kind_of(path), path)
    assert type(settings).model_validate(settings.as_json()) == settings
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize(("command", "name"), DEFAULTS.items())
def test_the_settings_a_command_falls_back_to_exist(command, name):
    assert find_settings_file(command, name).is_file()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_settings_field_has_a_sentence(kind):
    waiting, seen, bare = [kind], set(), []
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for name, field in current.model_fields.items():
            if not (field.description or "").strip():
                bare.append(f"{current.__name__}.{name}")
            waiting += [k for k in settings_inside(field.annotation) if k not in seen]
    assert bare == []


def kind_of(path: Path) -> type[Settings]:
    """What a file holds: judge... is for `evaluate --model`, qa... for `evaluate --study qa`."""
    judges = f"{path.parent.name}/{path.stem.partition('_')[0]}"
    return KINDS.get(judges, KINDS[path.parent.name])


def settings_inside(annotation: object) -> list[type[Settings]]:
    """The settings classes that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [k for a in getattr(annotation, "__args__", ()) for k in settings_inside(a)]
