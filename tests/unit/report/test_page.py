"""The page: every number, no link to elsewhere, nothing that names a patient."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import util
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.evaluation import EvaluateSettings, PageSettings
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import MissingExtraError
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.local_noise import local_sd_hu
from ctdenoise.report.page import Compared, PageContent, ShownSlice, write_page
from ctdenoise.report.requirements import require_report_extra

SHAPE = (4, 80, 90)


class Reader(HTMLParser):
    """Text, addresses and open elements of a page."""

    VOID = frozenset({"meta", "img", "source", "wbr", "link", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.alternatives: list[str | None] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [given[k] for k in ("src", "srcset", "href", "action") if k in given]
        if tag == "img":
            self.alternatives.append(given.get("alt"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def volume(hu: np.ndarray) -> CTVolume:
    geometry = Geometry.axial(SHAPE, pixel_spacing_mm=(1.0, 1.5), slice_spacing_mm=2.0)
    return CTVolume(hu.astype(np.float32), geometry)


def anatomy(*, lung: bool = True) -> np.ndarray:
    hu = np.full(SHAPE, -1000.0)
    hu[:, 10:70, 10:80] = 40.0
    if lung:
        hu[:, 20:60, 20:40] = -850.0
    return hu


def content(names=("low <dose> 25 %", "denoised"), *, lung: bool = True) -> PageContent:
    rng = np.random.default_rng(0)
    reference = volume(anatomy(lung=lung) + rng.normal(0, 5, SHAPE))
    settings = EvaluateSettings(page=PageSettings(crop_mm=30))
    compared: list[Compared] = []
    volumes: list[CTVolume] = []
    for number, name in enumerate(names):
        hu = reference.hu + rng.normal(0, 30 / (number + 1), SHAPE)
        hu[2] += 20
        test = volume(hu)
        volumes.append(test)
        compared.append(Compared(name, evaluate(reference, test, settings)))
    body = body_mask(reference.hu)[2]
    slices = tuple(one.hu[2] for one in volumes)
    shown = (ShownSlice(2, "Middle slice", reference.hu[2], slices, body),)
    return PageContent(
        reference,
        shown,
        tuple(compared),
        settings,
        settings.page,
        "ctdenoise evaluate REFERENCE TEST_1 TEST_2",
        {"ctdenoise": "0.1"},
        "2026-01-01T00:00:00Z",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, PageContent, Reader]:
    folder = tmp_path_factory.mktemp("page")
    inside = content()
    path = write_page(folder, inside)
    return folder, inside, Reader(path.read_text(encoding="utf-8"))


def test_every_number_of_the_evaluation_stands_on_the_page(made):
    _, inside, reader = made
    words = re.split(r"\s+", " ".join(reader.text))
    for test in inside.tests:
        for metric in test.evaluation.metrics:
            assert metric.text in words, metric.key
            assert metric.key in words


def test_every_figure_of_every_slice_stands_on_the_page(made):
    _, inside, reader = made
    words = set(re.split(r"\s+", " ".join(reader.text)))
    for test in inside.tests:
        for value in test.evaluation.slices.columns["rmse"]:
            assert f"{value:.2f}" in words


def test_every_convention_is_explained(made):
    _, inside, reader = made
    text = " ".join(" ".join(reader.text).split())
    for metric in inside.tests[0].evaluation.metrics:
        assert metric.description in text
        assert metric.reduction in text


def test_the_page_needs_nothing_from_elsewhere(made):
    _, _, reader = made
    for address in reader.addresses:
        assert address.startswith(("data:image/png;base64,", "#")), address[:60]
    assert "http" not in " ".join(reader.text)


def test_the_page_is_whole_html_and_its_pictures_are_described(made):
    _, _, reader = made
    assert not reader.open
    assert reader.alternatives
    assert all(reader.alternatives)


def test_the_page_says_what_it_is_not(made):
    _, _, reader = made
    assert "Research use only. Not a medical device." in " ".join(reader.text)


def test_names_are_text_and_never_markup(made):
    folder, _, reader = made
    assert "low <dose> 25 %" in reader.text
    assert "<dose>" not in (folder / "index.html").read_text(encoding="utf-8")


def test_slices_are_shown_and_kept_as_files(made):
    folder, _, reader = made
    text = " ".join(reader.text)
    assert "Middle slice (slice 3 of 4)" in text
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert {"slice3_soft_0.png", "slice3_lung_2.png", "slice3_difference_2.png"} <= names
    assert {"rmse_by_slice.png", "differences.png", "bias_by_tissue.png"} <= names


def test_noise_maps_of_all_images_have_one_range_and_their_medians(made):
    folder, inside, reader = made
    words = " ".join(" ".join(reader.text).split())
    shown = inside.shown[0]
    medians = []
    for image in (shown.reference, *shown.tests):
        local = local_sd_hu(image, None, pixel_spacing_mm=(1.0, 1.5), window_mm=6.0)
        medians.append(float(np.median(local[shown.body])))
        assert f"median {medians[-1]:.2f} HU" in words
    assert f"0 to {5 * round(2 * max(medians) / 5)} HU" in words
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert {"slice3_noise_0.png", "slice3_noise_1.png", "slice3_noise_2.png"} <= names


def test_the_lung_window_is_shown_only_where_there_is_lung(tmp_path):
    write_page(tmp_path, content(names=("low",), lung=False))
    assert not list((tmp_path / "pictures").glob("*lung*"))


def test_the_better_value_is_marked_and_ties_are_not(made):
    folder, *_ = made
    page = (folder / "index.html").read_text(encoding="utf-8")
    row = re.search(r"<code>rmse</code>.*?</tr>", page, re.DOTALL).group()
    first, second = re.findall(r'<td class="number( best)?"', row)[1:]
    assert (first, second) == ("", " best"), "the second test has half the noise"
    noise = re.search(r"<code>noise_test</code>.*?</tr>", page, re.DOTALL).group()
    assert "best" not in noise, "less noise alone is not better"


def test_one_test_alone_is_never_called_best(tmp_path):
    path = write_page(tmp_path, content(names=("low",)))
    assert 'class="mark"' not in path.read_text(encoding="utf-8")


def test_many_tests_fit_on_a_page(tmp_path):
    names = tuple(f"dose {n}" for n in range(1, 7))
    text = " ".join(Reader(write_page(tmp_path, content(names=names)).read_text()).text)
    assert all(name in text for name in names)


def test_a_missing_package_is_reported_with_what_to_install(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(
        "ctdenoise.report.requirements.find_spec",
        lambda name: None if name == "jinja2" else found(name),
    )
    with pytest.raises(MissingExtraError, match="jinja2") as caught:
        require_report_extra()
    assert "pip install 'ctdenoise[report]'" in str(caught.value)
