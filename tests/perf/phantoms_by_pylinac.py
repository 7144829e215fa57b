"""What pylinac 3.49.0 finds in series of `study_phantoms.py noisy FOLDER`.

    python tests/perf/phantoms_by_pylinac.py FOLDER

pylinac wants pydicom 2, so this runs in an environment of its own and imports nothing from here.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pylinac


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    for series in sorted(folder.iterdir()):
        make = pylinac.ACRCT if series.name.startswith("acr") else pylinac.CatPhan504
        phantom = make(str(series))
        phantom.analyze()
        print(f"{series.name}: roll {phantom.catphan_roll:.2f} degrees")
        print(phantom.results())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
