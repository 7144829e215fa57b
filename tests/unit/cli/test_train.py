"""What `train` sets up before it works."""

from __future__ import annotations

import os
import subprocess
import sys


def test_small_products_of_numpy_run_in_one_thread_unless_asked_otherwise():
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ctdenoise.cli.train import train\n"
        "from ctdenoise.errors import UsageError\n"
        "assert 'numpy' not in sys.modules\n"
        "try:\n    train(out=Path('out'))\n"
        "except UsageError:\n    print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if "_NUM_THREADS" not in key}
    for asked, expected in (({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, **asked},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
