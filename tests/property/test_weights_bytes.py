"""Whatever bytes a file of weights has, it is imported or refused, and nothing else happens."""

from __future__ import annotations

import argparse
import random

import pytest
import torch

from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import CheckpointError
from ctdenoise.networks.importers import import_weights
from tests.unit.networks.public_networks import NumberedRedCnn, drawn

SEEDS = 250


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_spoilt_files_are_imported_or_refused(zipped, tmp_path):
    path = tmp_path / "w.pt"
    content = {
        "args": argparse.Namespace(lr=1e-4),
        "model_state_dict": drawn(NumberedRedCnn(2, final_relu=True)).state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    refused = 0
    for seed in range(SEEDS):
        path.write_bytes(spoilt(data, random.Random(seed)))
        try:
            import_weights(path, HuRange(), final_relu=True)
        except CheckpointError:
            refused += 1
    assert SEEDS / 2 < refused < SEEDS  # some changes hit a weight, or nothing that is read


def spoilt(data, rng):
    """Bytes with some changed, most of them where the pickle is, and now and then cut off."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        most = 3500 if rng.random() < 0.8 else len(out)
        out[rng.randrange(most)] = rng.randrange(256)
    return bytes(out[: rng.randrange(len(out))]) if rng.random() < 0.2 else bytes(out)
