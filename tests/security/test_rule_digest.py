"""A rule may name the digest of its model; another model is then not used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from ctdenoise.config.networks import RedCnnSettings
from ctdenoise.config.rules import RuleAction, RuleSettings
from ctdenoise.core.intensity import HuRange
from ctdenoise.errors import UsageError
from ctdenoise.networks.build import build_network
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.tasks.serve_plan import Order, orders_of
from ctdenoise.tasks.serve_work import check_models, denoiser_of, loaded


def checkpoint(path: Path, seed: int) -> Path:
    settings = RedCnnSettings(channels=4)
    network = build_network(settings, generator=torch.Generator().manual_seed(seed))
    return save_checkpoint(path, Checkpoint(settings, network.state_dict(), HuRange(-1024, 3072)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "model.safetensors", 1)


def order(model: Path, digest: str | None) -> Order:
    rule = RuleSettings(name="all", do=RuleAction(model=str(model), digest=digest))
    return orders_of((rule,))["all"]


@pytest.mark.parametrize("kind", ["digest", "sha256"])
@pytest.mark.parametrize("by_folder", [False, True], ids=["file", "folder"])
def test_the_model_that_is_meant_is_used_and_another_is_not(
    model: Path, kind: str, by_folder: bool
) -> None:
    digest = load_checkpoint(model).digest
    if kind == "sha256":
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
    wanted = order(model.parent if by_folder else model, digest)
    assert denoiser_of(wanted).digest == load_checkpoint(model).digest
    model.unlink()
    checkpoint(model, 2)
    loaded.cache_clear()
    with pytest.raises(UsageError, match="not the one that the rule means"):
        check_models((wanted,))


def test_without_a_digest_any_model_will_do(model: Path) -> None:
    assert denoiser_of(order(model, None)).digest


def test_a_filter_has_no_file_and_cannot_have_the_digest_of_one() -> None:
    with pytest.raises(UsageError, match="not the one"):
        denoiser_of(order(Path("identity"), "0" * 64))


@pytest.mark.parametrize("digest", ["", "xyz", "0" * 11, "0" * 63, "A" * 12])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(ValidationError):
        RuleAction(model="identity", digest=digest)
