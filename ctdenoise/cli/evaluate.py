"""`ctdenoise evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ctdenoise.cli.judge import JudgeOptions, run_judgement
from ctdenoise.cli.options import Config, Out, Overrides
from ctdenoise.cli.qa import QaOptions, run_qa

if TYPE_CHECKING:
    from ctdenoise.config.evaluation import MaskSettings
    from ctdenoise.tasks.evaluate_masks import MaskQuestion, MaskSource

_NO_MODEL = JudgeOptions()
_NO_PHANTOM = QaOptions()


def evaluate(  # noqa: PLR0913 - one argument for each word of the command line
    reference: Path | None = None,
    /,
    *tests: Path,
    out: Out,
    judge: Annotated[JudgeOptions, Parameter(name="*")] = _NO_MODEL,
    qa: Annotated[QaOptions, Parameter(name="*")] = _NO_PHANTOM,
    names: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    config: Config = None,
    overrides: Overrides = (),
    reference_series: str | None = None,
    test_series: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    segment_with: Path | None = None,
    reference_mask: Path | None = None,
    test_masks: Annotated[
        tuple[Path, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    truth_mask: Path | None = None,
    input_test: Annotated[str | None, Parameter(name="--input")] = None,
) -> None:
    """Compare series with a reference, or judge a denoiser (--model): numbers, pictures, one page.

    Args:
        reference: The full-dose study, or the known truth: a DICOM folder or an image file. With
            --model, the scan on which it is judged, if any.
        tests: One or more studies on the same grid, such as the low-dose one and the denoised one.
        out: Folder for the page, the numbers (JSON, CSV) and the pictures; new or empty.
        judge: Options that judge a denoiser.
        qa: Options for scans of phantoms (--study qa).
        names: What to call the tests or models on the page, in their order.
        config: Ready settings such as `default` (with --model `judge` or `judge_quick`), or a YAML
            file.
        overrides: Settings to change, as key=value; may be given several times.
        reference_series: Which series of the reference, where its folder holds several.
        test_series: Which series of each test, in their order.
        segment_with: A model with a segmentation head that labels every image: did denoising
            change the masks?
        reference_mask: A label map on the reference, in place of a model: figures of each organ.
        test_masks: A label map on each test, in their order: did the masks change?
        truth_mask: The true label map, where somebody drew it.
        input_test: Name of the test that the others were made from: whether structure was removed
            from it, and its masks.
    """
    of_references = _given(
        reference_series=reference_series,
        test_series=test_series,
        reference_mask=reference_mask,
        test_masks=test_masks,
        truth_mask=truth_mask,
        input=input_test,
    )
    if "qa" in judge.study:
        of_models = _given(
            truth=judge.truth,
            labels=judge.labels,
            dry_run=judge.dry_run,
            names=names,
            segment_with=segment_with,
        )
        _require_only_qa(judge, tests, (*of_references, *of_models))
        run_qa(
            reference,
            qa,
            out=out,
            series=judge.series,
            config=config,
            overrides=overrides,
            fail_on_limits=judge.fail_on_limits,
        )
        return
    _require_no_phantom(qa)
    if judge.model:
        _require_no_references(tests, of_references)
        run_judgement(
            reference,
            judge,
            out=out,
            names=names,
            config=config,
            overrides=overrides,
            segment_with=segment_with,
        )
        return
    from ctdenoise.cli import console
    from ctdenoise.config.evaluation import EvaluateSettings
    from ctdenoise.config.load import find_settings_file, load_settings
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks import evaluate as task

    if judge.given:
        raise UsageError(
            f"{', '.join(judge.given)} judges a denoiser, and none was named.",
            fix="Add --model.",
        )
    if reference is None or not tests:
        raise UsageError(
            "there is nothing to compare with the reference.",
            fix="Name one or more test studies, or a denoiser to judge with --model.",
        )
    settings_file = find_settings_file("evaluate", config or "default")
    settings = load_settings(EvaluateSettings, settings_file, overrides)
    called = names or tuple(f"test {number}" for number in range(1, len(tests) + 1))
    number = _place_of(input_test, called)
    with console.progress() as progress:
        masks = _masks(settings.masks, segment_with, reference_mask, test_masks, truth_mask, number)
        report = task.run(
            reference,
            tests,
            settings,
            out=out,
            reference_series=reference_series,
            test_series=test_series or None,
            names=names or None,
            masks=masks,
            input_test=number,
            progress=progress,
        )
    console.show_comparison(report.evaluations)
    if report.page is not None:
        console.print_line(f"Page: {report.page}")
    console.print_line(f"Numbers: {report.out}/evaluation.json and .csv")


def _given(**options: object) -> tuple[str, ...]:
    """Those options of the command line that were given, as they are typed."""
    typed = {f"--{name.replace('_', '-')}": value for name, value in options.items()}
    return tuple(option for option, value in typed.items() if value not in (None, (), False))


def _require_only_qa(judge: JudgeOptions, tests: tuple[Path, ...], others: tuple[str, ...]) -> None:
    """Refuse what the study of a phantom cannot be asked together with."""
    from ctdenoise.errors import UsageError

    if judge.model or tests or judge.study != ("qa",):
        raise UsageError(
            "the study qa judges one scan of a phantom, alone.",
            fix="Leave out --model, other studies and further scans; judge a denoiser on scanned "
            "phantoms with --study bench.",
        )
    if others:
        raise UsageError(
            f"the study qa does not know {', '.join(others)}.", fix="Leave out these options."
        )


def _require_no_phantom(qa: QaOptions) -> None:
    """Refuse options of the study of a phantom where it was not asked for."""
    from ctdenoise.errors import UsageError

    if qa.given:
        raise UsageError(
            f"{' and '.join(qa.given)} belong to scans of phantoms.", fix="Add --study qa."
        )


def _require_no_references(tests: tuple[Path, ...], options: tuple[str, ...]) -> None:
    """Refuse what compares images with a reference where a denoiser is judged."""
    from ctdenoise.errors import UsageError

    if tests:
        raise UsageError(
            "a denoiser is judged on one scan, and several studies were named.",
            fix="Name one scan, or leave --model out to compare studies with the first one.",
        )
    if options:
        raise UsageError(
            f"{', '.join(options)}: images are compared with a reference without --model.",
            fix="Choose a series of the scan with --series, organs with --labels or "
            "--segment-with.",
        )


def _masks(
    settings: MaskSettings,
    model: Path | None,
    reference: Path | None,
    tests: tuple[Path, ...],
    truth: Path | None,
    input_test: int | None,
) -> MaskQuestion | None:
    """What the words of the command line ask about masks; None for nothing."""
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks.evaluate_masks import MaskQuestion

    source = _mask_source(settings, model, reference, tests)
    if source is None:
        if truth is not None:
            raise UsageError(
                "there are no masks to compare.",
                fix="Add --segment-with, or --reference-mask and --test-masks.",
            )
        return None
    return MaskQuestion(source, truth, input_test, settings)


def _place_of(name: str | None, names: tuple[str, ...]) -> int | None:
    """Which test has a name, from 0; None for no name."""
    from ctdenoise.errors import UsageError

    if name is None:
        return None
    if name not in names:
        raise UsageError(
            f"no test is called {name}.",
            where="--input",
            fix=f"There are: {', '.join(names)}.",
        )
    return names.index(name)


def _mask_source(
    settings: MaskSettings, model: Path | None, reference: Path | None, tests: tuple[Path, ...]
) -> MaskSource | None:
    """Where the masks come from; None where none are asked for."""
    from ctdenoise.errors import UsageError
    from ctdenoise.tasks.evaluate_masks import FileMasks

    if model is not None and (reference is not None or tests):
        raise UsageError(
            "masks come from a model or from files, not from both.",
            fix="Leave out --segment-with, or --reference-mask and --test-masks.",
        )
    if model is not None:
        from ctdenoise.tasks.evaluate_network_masks import NetworkMasks

        return NetworkMasks(model)
    if reference is not None:
        return FileMasks(reference, tests, settings)
    if tests:
        raise UsageError("masks of the tests need one of the reference.", where="--reference-mask")
    return None
