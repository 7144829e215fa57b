"""Imports go where the architecture says, and nowhere else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

MONAI_DOORS = {
    "ctdenoise/losses/image.py",
    "ctdenoise/losses/segmentation.py",
    "ctdenoise/networks/unet.py",
    "ctdenoise/training/patches.py",
    "ctdenoise/inference/tiling.py",
}
HOMES = {
    "monai": MONAI_DOORS,
    "torch": {"networks", "losses", "training", "inference"},
    "numba": {"simulation", "inference", "phantoms"},
    "llvmlite": {"simulation", "inference"},
    "pydicom": {"io", "pacs"},
    "pynetdicom": {"pacs"},
    "dask": {"jobs"},
    "distributed": {"jobs"},
    "prometheus_client": {"jobs"},
    "highdicom": {"io"},
    "nibabel": {"io"},
    "dicomanonymizer": {"io"},
    "SimpleITK": {"io"},
    "pydantic": {"config"},
    "yaml": {"config"},
    "cyclopts": {"cli"},
    "rich": {"cli"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
}

LATE_IMPORTS = {
    "ctdenoise/inference/bm3d_package.py": {"bm3d"},  # an optional extra, not free for all uses
    "ctdenoise/io/deidentify_rules.py": {"dicomanonymizer"},  # an optional extra
    "ctdenoise/io/dicom_objects.py": {"highdicom"},  # an optional extra
    "ctdenoise/io/runfile.py": {"resource"},  # absent on Windows
    "ctdenoise/jobs/executors.py": {"ctdenoise"},  # Dask is an optional extra, and slow to import
    "ctdenoise/tasks/serve.py": {"ctdenoise"},  # torch takes 500 MB, and only GPUs need it there
    "ctdenoise/report/charts.py": {"matplotlib"},  # an optional extra
    "ctdenoise/report/contact_sheet.py": {"matplotlib", "PIL"},  # an optional extra
    "ctdenoise/report/pictures.py": {"PIL"},  # an optional extra: it comes with matplotlib
    "ctdenoise/report/preview.py": {"matplotlib"},
    "ctdenoise/report/qa_picture.py": {"matplotlib"},  # an optional extra
    "ctdenoise/report/rendering.py": {"jinja2"},  # an optional extra
}
"""Imports inside functions outside `cli`, each with its reason."""


def test_imports_go_down_the_layers_only():
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_each_library_is_imported_only_where_it_belongs(modules):
    strays = [
        f"{path}: {library}"
        for path, module in modules.items()
        for library in imported(module)
        if library in HOMES and not ({path, path.split("/")[1]} & HOMES[library])
    ]
    assert strays == []


def test_every_library_in_the_table_has_a_user(modules):
    used = {library for module in modules.values() for library in imported(module)}
    assert set(HOMES) - used <= {
        "SimpleITK",
        "llvmlite",
        "dask",
        "distributed",
        "pynetdicom",
    }


def test_imports_inside_functions_are_kept_to_the_command_line(modules):
    late = [
        f"{path}: {library}"
        for path, module in modules.items()
        if not path.startswith("ctdenoise/cli/")
        for library in imported_late(module)
        if library not in LATE_IMPORTS.get(path, set())
    ]
    assert late == []


def imported(tree: ast.AST) -> Iterator[str]:
    """Top-level names of the packages a piece of code imports, type-checking blocks left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        else:
            yield from imported(node)


def imported_late(module: ast.Module) -> Iterator[str]:
    """The same for what stands inside functions."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported(node)
