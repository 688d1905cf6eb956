"""The verdicts as a picture: every control and measure, with its number."""

import pandas as pd

from modelstitch.analysis.agreement import INDICES, calibrated_column
from modelstitch.analysis.controls import EXCESSES
from modelstitch.analysis.verdicts import COLUMNS
from modelstitch.figures import verdicts
from modelstitch.figures.words import measure_words
from modelstitch.measures import distances, hacking


def test_each_area_stands_in_its_place_in_brackets_where_it_tells_nothing():
    row = dict.fromkeys(COLUMNS, 0)
    rows = [
        row
        | {"measure": "accuracy", "control": "shuffled", "depth": "all", "matched_auc": 0.52, "verdict": "does not"},
        row
        | {
            "measure": "accuracy",
            "control": "shuffled",
            "depth": "late",
            "matched_auc": 0.11,
            "verdict": "the wrong way",
        },
        row
        | {
            "measure": "linear_cka",
            "control": "shuffled",
            "depth": "all",
            "matched_auc": 0.97,
            "verdict": "tells apart",
        },
        row
        | {"measure": "accuracy", "control": "image", "depth": "all", "matched_auc": 0.31, "verdict": "the wrong way"},
    ]
    figure = verdicts.draw(pd.DataFrame(rows))
    written = [text.get_text() for text in figure.axes[0].texts]
    assert {"shuffled", "image", "accuracy", "debiased linear CKA", "(0.52)", "0.97", "0.31"} <= set(written)
    assert "0.11" not in written and len(figure.axes[0].patches) == 3


def test_no_name_of_a_measure_is_a_columns_own():
    columns = {*hacking.COLUMNS, *distances.COLUMNS, *EXCESSES, *INDICES, *map(calibrated_column, INDICES)}
    named = {column: measure_words(column) for column in columns}
    assert not [words for words in named.values() if "_" in words] and len(set(named.values())) == len(named)
    assert measure_words("hacking.kappa_receiver") == "hacking: error consistency, receiver (κ)"
    assert measure_words("linear_cka_calibrated") == "debiased linear CKA, calibrated"


def test_no_verdict_is_an_empty_picture():
    figure = verdicts.draw(pd.DataFrame(columns=list(COLUMNS)))
    assert not figure.axes[0].patches
