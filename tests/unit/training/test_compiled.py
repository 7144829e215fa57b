"""torch.compile as a setting."""

from __future__ import annotations

import shutil

import pytest
import torch

from ctdenoise.errors import SettingsError
from ctdenoise.networks.checkpoint import load_checkpoint
from ctdenoise.tasks import train as task
from ctdenoise.training import compiled


def test_a_missing_compiler_is_refused_before_anything_is_written(
    make_pair, tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    with pytest.raises(SettingsError, match="no C\\+\\+ compiler"):
        task.run([make_pair().folder], tiny.replaced(compile=True), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_triton_is_told_for_a_gpu_only(monkeypatch):
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    assert any("triton" in line for line in compiled.missing_tools(torch.device("cuda")))
    assert not any("triton" in line for line in compiled.missing_tools(torch.device("cpu")))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("default")  # what torch warns about while it compiles is its own
def test_a_compiled_network_learns_what_the_plain_one_learns(make_pair, tiny, tmp_path):
    pair = [make_pair().folder]
    settings = tiny.replaced(
        steps=3, precision="float32", optimizer={"learning_rate": 1e-2, "epsilon": 1e-3}
    )
    plain, fast = (
        load_checkpoint(
            task.run(pair, settings.replaced(compile=on), out=tmp_path / str(on)).model
        ).weights
        for on in (False, True)
    )
    assert set(plain) == set(fast)
    for name, weight in plain.items():
        torch.testing.assert_close(fast[name], weight, rtol=1e-3, atol=1e-6)
