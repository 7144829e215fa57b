"""Files have one subject, few lines and telling names; what is public is documented."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctdenoise

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}
HEAVY = {
    "numpy", "scipy", "numba", "torch", "monai", "pydicom", "nibabel", "SimpleITK", "skimage",
    "matplotlib", "jinja2", "safetensors", "tensorboardX", "pydantic", "yaml",
}  # fmt: skip

WEIGHTS_ONLY_DOOR = "ctdenoise/networks/foreign_weights.py: torch.load weights_only=True"
WORKERS_DOOR = "ctdenoise/jobs/parcels.py: pickle"


@pytest.mark.parametrize("folder", ["ctdenoise", "tests", "docs", ".ci"])
def test_files_stay_short(folder):
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
        if "_build" not in path.parts
    }
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_modules_are_named_after_their_subject():
    names = {part for path in (ROOT / "ctdenoise").rglob("*.py") for part in path.parts[-2:]}
    words = {word for name in names for word in name.removesuffix(".py").split("_")}
    assert words & SAYS_NOTHING == set()


def test_the_top_level_holds_what_it_should():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    assert visible <= {
        "LICENSE", "Makefile", "README.md", "configs", "ctdenoise", "docs", "pipelines",
        "pyproject.toml", "tests",
    }  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "import ctdenoise; dir(ctdenoise); ctdenoise.__version__",
        "from ctdenoise.cli.app import main; main(['--help'])",
        "from ctdenoise.cli.app import main; main(['--version'])",
    ],
    ids=["import", "help", "version"],
)
def test_starting_loads_nothing_heavy(code):
    ending = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", ending + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert "ctdenoise" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", sorted(set(ctdenoise.__all__) - {"__version__"}))
def test_public_names_resolve_and_are_documented(name):
    value = getattr(ctdenoise, name)
    assert value.__module__.startswith("ctdenoise.")
    assert inspect.getdoc(value)
    reference = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert f"{value.__module__}.{name}" in reference


def test_whatever_is_public_has_a_docstring_and_annotations(modules):
    lacking = [
        f"{path}: {owner}{node.name} lacks {what}"
        for path, module in modules.items()
        for owner, node in public_definitions(module)
        for what in lacks(node, inside=bool(owner))
    ]
    assert lacking == []


def test_one_door_pickles_for_worker_processes_and_one_reads_tensors_alone(modules):
    found = [
        f"{path}: {text}"
        for path, module in modules.items()
        for node in ast.walk(module)
        for text in [pickling(node)]
        if text
    ]
    assert found == [WORKERS_DOOR, WEIGHTS_ONLY_DOOR]


def test_nothing_is_left_unfinished():
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "place" + "holder")
    found = [
        f"{path.relative_to(ROOT)}: {mark}"
        for path in (ROOT / "ctdenoise").rglob("*.py")
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert found == []


def public_definitions(
    module: ast.Module,
) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Functions and classes that callers may use, and the methods of such classes."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield "", node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.", inner


def lacks(node: ast.FunctionDef | ast.ClassDef, *, inside: bool) -> Iterator[str]:
    """What a definition should have and has not."""
    if not ast.get_docstring(node):
        yield "a docstring"
    if isinstance(node, ast.FunctionDef) and not is_compiled(node):
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        named = arguments[1:] if inside and not is_static(node) else arguments
        if node.returns is None or any(argument.annotation is None for argument in named):
            yield "annotations"


def is_compiled(node: ast.FunctionDef) -> bool:
    """Whether numba compiles it: its types are those of its callers."""
    return any(
        "jit" in ast.dump(item) or "intrinsic" in ast.dump(item) for item in node.decorator_list
    )


def is_static(node: ast.FunctionDef) -> bool:
    """Whether a method has no self."""
    return any("staticmethod" in ast.dump(item) for item in node.decorator_list)


def pickling(node: ast.AST) -> str:
    """How a piece of code would write or read pickles; empty if it does not."""
    if isinstance(node, ast.Import):
        return ", ".join(a.name for a in node.names if a.name in {"pickle", "dill", "joblib"})
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        text = ast.unparse(node.func)
        allows = any(
            k.arg == "allow_pickle" and ast.unparse(k.value) == "True" for k in node.keywords
        )
        if text == "torch.load":
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            return f"{text} weights_only={options.get('weights_only')}"
        return text if text == "torch.save" or allows else ""
    return ""
