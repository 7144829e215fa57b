"""pylinac, run by another Python: it needs pydicom 2, and ctdenoise needs pydicom 3.

The other Python is one of an environment that pylinac is installed in. It gets copies of the files
of one series, named by number, in a folder of their own that is removed afterwards.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError, UsageError

_SECONDS = 600
_MARK = "ctdenoise-result:"

_PROGRAM = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
import pylinac
kinds = {{"acr464": pylinac.ACRCT, "catphan504": pylinac.CatPhan504}}
phantom = kinds[sys.argv[1]](sys.argv[2])
phantom.analyze()
print("{_MARK}" + json.dumps(phantom.results_data(as_dict=True), default=str))
"""


def pylinac_results(python: Path, phantom: str, files: Sequence[Path]) -> dict[str, JsonValue]:
    """What pylinac finds in the scan of a phantom: its `results_data`.

    Args:
        python: The Python of an environment with pylinac.
        phantom: "acr464" or "catphan504".
        files: DICOM files of the series.

    Raises:
        UsageError: If there is no such Python, or it has no pylinac.
        InputError: If pylinac cannot analyse the scan; its reason is the name of its error, since
            what it says may quote the header.
    """
    if shutil.which(str(python)) is None:
        raise UsageError("there is no Python that can be run.", where=f"pylinac: {python}")
    with tempfile.TemporaryDirectory(prefix="ctdenoise-pylinac-") as folder:
        for number, path in enumerate(files):
            shutil.copyfile(path, Path(folder) / f"{number:05d}.dcm")
        command = [str(python), "-c", _PROGRAM, phantom, folder]
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that the user named
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"pylinac did not end within {_SECONDS} seconds.") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[-1].partition(":")[0]
        if reason == "ModuleNotFoundError":
            raise UsageError(
                "this Python has no pylinac, or one that does not start.",
                where=f"pylinac: {python}",
                fix="Make an environment for it: python -m venv E && E/bin/pip install pylinac",
            )
        raise InputError(f"pylinac could not analyse the scan ({reason}).")
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    result = json.loads(lines[-1].removeprefix(_MARK)) if lines else None
    if not isinstance(result, dict):
        raise InputError("pylinac gave no result that can be read.")
    return result
