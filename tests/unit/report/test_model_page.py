"""The page of a model says all that its card says, and the pages of the docs are those pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctdenoise.config.model_card import ModelCard
from ctdenoise.networks.released import packaged_folder, released_models
from ctdenoise.report.model_page import model_page
from ctdenoise.report.range_words import range_words

DOCS = Path(__file__).parents[3] / "docs"
CARD = ModelCard(
    name="tiny",
    summary="A tiny one.",
    strength=0.75,
    sha256="0" * 64,
    digest="0" * 12,
    network="compact",
    parameters=302_404,
    stored="float16",
    rounding_hu=0.021,
    intended_use=("Soft tissue.",),
    limits=("No heads.",),
    data=(
        {
            "name": "A | b",
            "source": "https://example.org",
            "licence": "CC0",
            "used_for": "Learnt from.",
        },
    ),
    recipe={"config": "release_fast", "commands": ("ctdenoise train PAIRS --out run",)},
    compute={"steps": 8000, "patches": 64_000, "seconds": 7260.0, "processor": "cpu"},
    training_range={"noise_hu": [5.0, 60.123], "kernels": ["B30f", "D"]},
    results={
        "tables": [
            {
                "title": "By dose",
                "note": "One patient.",
                "command": "python -m study",
                "columns": ["dose", "RMSE, HU", "n"],
                "rows": [["25 %", 7.123456, 3], ["10 %", None, 3], ["a | b", None, "CC0"]],
            }
        ],
        "failures": [{"picture": "images/worst.png", "caption": "Streaks."}],
    },
    licence="Apache-2.0",
)


def test_every_part_of_the_card_is_on_the_page():
    page = model_page(CARD)
    for text in (
        "# tiny\n\nA tiny one.",
        "* Recommended strength: 0.75",
        "* Network: compact, 302,404 weights",
        "moves a value by at most 0.021 HU",
        "* Soft tissue.",
        "* No heads.",
        "ctdenoise infer my_study --model tiny --out denoised",
        "75 % of what the network takes away",
        "* **A | b** from https://example.org (licence: CC0). Learnt from.",
        "| a \\| b |  | CC0 |",
        "Settings of `train`: `release_fast`.",
        "```text\nctdenoise train PAIRS --out run\n```",
        "* Patches: 64,000",
        "* Time: 2 h 1 min",
        "| noise in soft tissue | 5 to 60.1 HU |",
        "### By dose\n\nOne patient.",
        "| 25 % | 7.123 | 3 |\n| 10 % |  | 3 |",
        "```text\npython -m study\n```",
        "![Streaks.](../images/worst.png)\n\nStreaks.",
        "* Licence of the weights: Apache-2.0",
    ):
        assert text in page
    assert page.endswith("\n")


def test_what_nobody_said_is_said_to_be_missing():
    bare = CARD.replaced(limits=(), data=(), recipe={}, results={}, training_range={}, compute={})
    page = model_page(bare)
    for title in ("Limits", "Data and licences", "Recipe", "Compute", "Results", "Failure cases"):
        assert f"## {title}\n\nNot said." in page


def test_without_pictures_captions_stay():
    page = model_page(CARD, pictures=None)
    assert "* Streaks." in page
    assert "images/" not in page


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("noise_hu", [5.0, 60.0], ("noise in soft tissue", "5 to 60 HU")),
        ("densest_hu", [900.0, 3071.0], ("densest spot", "900 to 3,071 HU")),
        ("pixel_spacing_mm", [0.7, 0.7], ("pixel spacing", "0.7 mm")),
        ("noise_frequency_per_mm", [0.2, 0.55], ("mean frequency of the noise", "0.2 to 0.55 /mm")),
        ("dose_fraction", [0.03, 0.97], ("dose", "3 to 97 %")),
        ("kernels", ["B30f", "D"], ("kernels", "B30f, D")),
        ("patients", 12, ("patients", "12")),
        ("some_new_width_mm", [1, 2], ("some new width", "1 to 2 mm")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_range_is_told_in_words(key, value, words):
    assert range_words({key: value}) == (words,)


def test_what_is_unknown_is_left_out():
    assert range_words({"kvp": None, "kernels": [], "more": {}}) == ()


PACKAGED = released_models([packaged_folder()])


@pytest.mark.parametrize("model", PACKAGED, ids=[model.name for model in PACKAGED])
def test_the_page_of_the_docs_is_made_from_the_card(model):
    page = DOCS / "models" / f"{model.name}.md"
    expected = model_page(model.card)
    hint = f"python -m ctdenoise models show {model.name} --markdown > docs/models/{model.name}.md"
    assert page.read_text(encoding="utf-8") == expected, hint
