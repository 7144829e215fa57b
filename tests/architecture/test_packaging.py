"""What is installed is what was pinned, and the set-up script does what the Makefile needs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
BANNED = {
    "torchvision": "the image chain needs none of it, and it must match torch's build",
    "torchaudio": "no sound here",
    "pylibjpeg-libjpeg": "GPL-3.0",
    "lpips": "downloads weights and needs torchvision",
    "actilib": "GPL-2.0",
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins() -> dict[str, str]:
    text = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    return {canonicalize_name(name): v for name, _, v in (line.partition("==") for line in lines)}


def required(text: str, extras: tuple[str, ...] = ("",)) -> Iterator[str]:
    """Names of everything a requirement needs here, itself included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(text, extras)]
    while waiting:
        line, wanted = waiting.pop()
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in wanted):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        yield key[0]
        inner = tuple(requirement.extras) or ("",)
        waiting += [(dep, inner) for dep in distribution(requirement.name).requires or []]


def test_torch_is_pinned_for_every_build():
    assert pins()["torch"] == "2.13.0"


@pytest.mark.parametrize(("name", "reason"), BANNED.items())
def test_unwanted_packages_are_neither_required_nor_pinned(name, reason):
    declared = " ".join(
        [*project()["project"]["dependencies"]]
        + [t for texts in project()["project"]["optional-dependencies"].values() for t in texts]
    )
    assert name not in pins(), reason
    assert not re.search(rf"\b{name}\b", declared), reason


def test_bm3d_whose_licence_is_not_free_is_an_extra_of_its_own():
    extras = project()["project"]["optional-dependencies"]
    assert [name for name, texts in extras.items() if "bm3d" in " ".join(texts)] == ["bm3d"]
    assert "bm3d" not in " ".join(project()["project"]["dependencies"])


def test_everything_that_the_make_targets_install_is_pinned():
    build = project()["build-system"]["requires"]
    roots = ["ctdenoise[report,dev]", "editables", *build]
    unpinned = {name for root in roots for name in required(root)} - set(pins()) - {"ctdenoise"}
    cuda = {name for name in unpinned if name.startswith(("nvidia-", "cuda-", "triton"))}
    assert unpinned - cuda == set()  # torch itself names its CUDA packages to the last digit


def test_what_is_installed_is_what_was_pinned():
    wrong = {}
    for name, version in pins().items():
        try:
            installed = Version(distribution(name).version)
        except PackageNotFoundError:  # an extra that was not asked for
            continue
        if installed.public != version:
            wrong[name] = f"{installed}, pinned {version}"
    assert wrong == {}


def test_every_pin_satisfies_the_ranges_of_pyproject():
    declared = [*project()["project"]["dependencies"], *project()["build-system"]["requires"]]
    declared += [t for ts in project()["project"]["optional-dependencies"].values() for t in ts]
    for text in declared:
        requirement = Requirement(text)
        if requirement.name != "ctdenoise":
            pinned = pins()[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pinned), text


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("set_up", ROOT / ".ci" / "set_up.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_set_up_installs_the_dependencies_of_each_extra(script):
    report = script.requirements_of(project(), ("report",))
    dev = script.requirements_of(project(), ("report", "dev"))
    assert set(project()["project"]["dependencies"]) < set(report) < set(dev)
    assert any(text.startswith("matplotlib") for text in report)
    assert any(text.startswith("highdicom") for text in dev)  # an extra inside an extra
    assert not any(text.startswith(("pytest", "ctdenoise")) for text in report)


def test_a_changed_pin_asks_for_another_cache(script, tmp_path, monkeypatch):
    before = script.fingerprint("torch>=2.4")
    changed = tmp_path / "constraints.txt"
    changed.write_text(script.CONSTRAINTS.read_text().replace("torch==2.13.0", "torch==2.12.0"))
    monkeypatch.setattr(script, "CONSTRAINTS", changed)
    assert script.fingerprint("torch>=2.4") != before
    assert script.fingerprint("torch>=2.5") != script.fingerprint("torch>=2.4")


def test_set_up_refuses_an_unknown_level():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "set_up.py", "everything"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "report|dev" in done.stderr


def test_make_offers_what_the_readme_and_ci_call():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    offered = set(re.findall(r"^  make (\w+)", listed.stdout, flags=re.MULTILINE))
    assert {"demo", "test", "check", "bench", "docs", "setup", "clean"} <= offered
    texts = (ROOT / ".ci" / "run").read_text() + (ROOT / "README.md").read_text()
    called = {
        word for line in re.findall(r"^make (.+)$", texts, re.MULTILINE) for word in line.split()
    }
    assert called <= offered
