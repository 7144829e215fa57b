"""The command line's entry point: which commands there are, and how a run ends.

Commands are registered by import path, so that `ctdenoise --help` loads none of their work.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, Group

import ctdenoise
from ctdenoise.cli import failure

_STEPS = Group.create_ordered("Study to result")
_MANY = Group.create_ordered("Many studies")
_TRY = Group.create_ordered("To try it out")

app = App(
    name="ctdenoise",
    help=(
        "Simulate, train, denoise and judge low-dose CT.\n\n"
        "Research use; not a medical device. ctdenoise COMMAND --help explains a command."
    ),
    version=ctdenoise.__version__,
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `failure.guarded` tells it
)

_COMMANDS = (
    ("inspect", _STEPS, "List the series in a folder: what they are, and what is wrong with them."),
    ("simulate", _STEPS, "Make low-dose twins of a normal-dose study."),
    ("train", _STEPS, "Train a network on pairs that simulate made, or on plain scans."),
    ("infer", _STEPS, "Denoise a study and write it as a derived series."),
    ("fuse", _STEPS, "Fuse repeated scans of one position into one series."),
    ("check", _STEPS, "Judge a derived series against its source."),
    ("evaluate", _STEPS, "Compare series with a reference: numbers, pictures, one page."),
    ("compare", _STEPS, "Compare trained networks on the same pairs: numbers, pictures, one page."),
    (
        "summarise",
        _STEPS,
        "Put comparisons on one page, or evaluations of patients into a cohort.",
    ),
    ("convert", _STEPS, "Write a study as NIfTI, MetaImage, NRRD or DICOM."),
    ("import", _STEPS, "Turn public weights of RED-CNN into a checkpoint."),
    ("networks", _STEPS, "List the networks that train can train: size, cost, reach, source."),
    ("models", _STEPS, "List the models that come with the program; show and make their cards."),
    ("deidentify", _STEPS, "Write a study again without what tells whose it is."),
    ("batch", _MANY, "Simulate, denoise or evaluate many studies, on one machine or a cluster."),
    ("pacs", _MANY, "Ask a PACS what it has, get from it and send to it, by DIMSE or DICOMweb."),
    ("serve", _MANY, "Denoise studies as they arrive and send the results back, unattended."),
    ("jobs", _MANY, "List, show and retry the jobs of a server or a batch; check who did what."),
    ("phantom", _TRY, "Make a study whose truth is known."),
    ("demo", _TRY, "Run everything once on a phantom, in a few minutes."),
)

_MORE = {
    "inspect": "Ends with exit code 3 if nothing in the folder can be used as a CT series.",
    "simulate": (
        "The anatomy is never blurred: noise as a scanner would make it is projected, filtered and "
        "added to the study's own pixels."
    ),
    "check": (
        "Works on series that other programs derived, too; what only this program promises is then "
        "not asked. Ends with exit code 1 if there is an error."
    ),
    "compare": (
        "Every network is applied as `infer` applies it, to every dose of every pair, and judged "
        "as `evaluate` judges. What was trained on a test patient carries a warning."
    ),
    "convert": "Values and places stay the same unless --resample is given.",
    "fuse": (
        "At each spatial frequency a scan counts the more, the more it has of it: what motion has "
        "blurred counts less. The mean of the scans is kept."
    ),
    "import": (
        "The file is read without running what it asks for. The scale of the images cannot be seen "
        "in it and must be said."
    ),
    "networks": (
        "Weights include biases. Operations are multiplications with an addition for one slice of "
        "512 x 512 pixels, in thousands of millions. The field is the edge of the square of input "
        "pixels that one output pixel depends on, or all of them."
    ),
    "models": (
        "Without a command of its own it lists them. A model is found by its name everywhere: "
        "`infer --model fast`."
    ),
    "serve": (
        "Stops in order on SIGTERM; SIGHUP lets it read its rules again. With --once it ends with "
        "exit code 4 if a study was given up or has to be tried again."
    ),
    "deidentify": (
        "Follows the basic confidentiality profile of DICOM PS3.15. Pixels stay as they are: words "
        "that are burned into them are not found, and faces are not removed. Nothing appears if "
        "anything of the patient is found in what was written."
    ),
    "demo": (
        "Draws phantom patients, makes them low-dose, trains a small network on all but one, "
        "denoises that one and compares it with the truth."
    ),
}
"""What the help of a command says besides its one line."""

FUNCTIONS = {"import": "import_weights"}
"""Function and module of a command whose name is a word of the language."""

FAMILIES = frozenset(("batch", "jobs", "models", "pacs"))
"""Commands that have commands of their own: their module holds an `App` of that name."""

for _place, (_name, _group, _help) in enumerate(_COMMANDS):
    _function = FUNCTIONS.get(_name, _name)
    app.command(
        f"ctdenoise.cli.{_function}:{_function}",
        name=_name,
        help="\n\n".join(text for text in (_help, _MORE.get(_name)) if text),
        group=_group,
        sort_key=_place,
        **({} if _name in FAMILIES else {"help_format": "markdown"}),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code.

    Args:
        arguments: What follows `ctdenoise`; None for the process's own arguments.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(failure.guarded(app, tokens))
