"""The checks of `infer`: begun with the sample of a scan, ended when all slices went by."""

from __future__ import annotations

from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.checks import Checks
from ctdenoise.tasks.infer_work import Work


def begin_checks(work: Work) -> Checks:
    """Checks of a result to come; the scan is compared with the training of the network at once.

    Args:
        work: A study on its way.
    """
    settings = work.settings.checks
    figures = scan_figures(work.sample, work.reader)
    training = trained_on(work.denoiser)
    return Checks(
        work.reader.shape[0],
        settings,
        about_scan=outside_training(figures, training, settings),
        scan_figures={"scan": figures, "trained_on": None if training is None else dict(training)},
        region=work.denoising.region,
    )
