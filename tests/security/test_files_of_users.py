"""Settings and models that somebody else wrote run nothing and fill no memory."""

from __future__ import annotations

import os
import pickle
import struct
import time
from pathlib import Path

import pytest

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.load import load_settings
from ctdenoise.config.overrides import parse_override
from ctdenoise.errors import CTDenoiseError, SettingsError
from ctdenoise.networks.checkpoint import load_checkpoint
from tests.e2e.commands import ctdenoise

LAUGHS = "a0: &a0 [1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


class Runs:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 100000 values"),
        ("a: &a [*a]\n", "more than 100000 values"),
        ("a: &a {b: *a}\n", "more than 100000 values"),
        ("a: " + "[" * 20_000, "nested too deeply"),
        ("a: " + "{b: " * 20_000, "nested too deeply"),
        ("strength: !!python/object/apply:os.mkdir [made]\n", "not YAML"),
        ("strength: !!python/name:os.system\n", "not YAML"),
        ("strength: !!python/module:os\n", "not YAML"),
        ("# " + "x" * 5 * 2**20, "too large"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_settings_run_nothing_and_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    began = time.monotonic()
    with pytest.raises(SettingsError, match=said):
        load_settings(InferSettings, path)
    assert time.monotonic() - began < 20
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["settings.yaml"]


@pytest.mark.parametrize(
    "value", ["&a [*a]", "[" * 20_000, "!!python/object/apply:os.mkdir [made]"]
)
def test_what_is_set_on_the_command_line_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError):
        parse_override(f"strength={value}")
    assert list(tmp_path.iterdir()) == []


def test_an_alias_that_stays_small_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("strength: &half 0.5\ntexture: *half\n")
    assert load_settings(InferSettings, path).texture == 0.5


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.pth", "model"])
@pytest.mark.parametrize("command", ["infer", "import"])
def test_a_pickle_that_runs_code_is_refused_by_any_name(
    tmp_path: Path, name: str, command: str
) -> None:
    path, made = tmp_path / name, tmp_path / "made"
    path.write_bytes(pickle.dumps(Runs(made)))
    if command == "infer":
        words: tuple[str | Path, ...] = ("infer", tmp_path, "--model", path)
    else:
        words = ("import", path, "--scale", "ssinyu")
    done = ctdenoise(*words, "--out", tmp_path / "out.safetensors")
    assert done.code == 3, done.stderr
    assert path.name in done.stderr
    assert not made.exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_that_pickle_would_have_run(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Runs(tmp_path / "made")))  # noqa: S301 - it is ours
    assert (tmp_path / "made").is_dir()


@pytest.mark.parametrize(
    "header",
    [
        b'{"__metadata__": {"ctdenoise": "' + b"[" * 50_000 + b'"}}',
        b'{"__metadata__": {"ctdenoise": "' + b"9" * 50_000 + b'"}}',
        b'{"a": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4000000000000]}}',
        b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}',
    ],
    ids=["nested", "number", "forged-size", "backwards"],
)
def test_a_hostile_header_of_a_model_is_one_error(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CTDenoiseError):
        load_checkpoint(path)


def test_a_header_that_claims_to_be_huge_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(CTDenoiseError):
        load_checkpoint(path)
