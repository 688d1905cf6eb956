"""All objectives side by side: the same pairs, in the order of the study's sections."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from modelstitch.figures import objectives
from modelstitch.figures.canvas import number
from modelstitch.figures.paper import WIDTHS, Paper
from tests.figures.drawn import make_tables, texts


def tables():
    cells, networks = make_tables(["R1111", "R1112"], combinations=[("trained", "trained"), ("random", "trained")])
    cells["agreement"] = cells.accuracy / 2
    cells["relative_accuracy"] = np.nan
    return cells, networks


def test_each_objective_has_a_panel_with_its_means():
    cells, networks = tables()
    remapped = cells[cells.sender_recipe == "trained"].assign(objective="remapped", accuracy=0.25, agreement=0.125)
    task = cells.assign(excess_over_remapped=np.where(cells.sender_recipe == "trained", cells.accuracy - 0.25, np.nan))
    figure = objectives.draw(pd.concat([remapped, cells.assign(objective="similarity"), task]), networks, "viridis")
    drawn = texts(figure)
    wanted = ["task", "similarity", "remapped", "task less remapped", "task", "similarity"]
    assert [text for text in drawn if text in set(wanted)] == wanted
    assert drawn.count("mean 0.25") == drawn.count("agreement 0.12") == 1
    assert (
        "trained → trained · 4\N{NO-BREAK SPACE}pairs" in drawn
        and "random → trained · 4\N{NO-BREAK SPACE}pairs" in drawn
    )


def test_a_layer_that_an_objective_lacks_counts_in_no_mean():
    cells, networks = tables()
    cells = cells[cells.sender_recipe == "trained"]
    soft = cells[cells.sender_layer == 0].assign(objective="soft")
    drawn = texts(objectives.draw(pd.concat([cells, soft]), networks, "viridis"))
    means = [text for text in drawn if text.startswith("mean")]
    assert means == [f"mean {number(soft.accuracy.mean())}"] * 2
    assert means[0] != f"mean {number(cells.accuracy.mean())}"


def test_a_pair_that_an_objective_lacks_is_in_no_panel():
    cells, networks = tables()
    cells = cells[cells.sender_recipe == "trained"]
    one = cells[(cells.sender == "R1111_trained_s0") & (cells.receiver == "R1111_trained_s0")].copy()
    figure = objectives.draw(pd.concat([cells, one.assign(objective="soft")]), networks, "viridis")
    assert "trained → trained · 1\N{NO-BREAK SPACE}pair" in texts(figure)
    assert sum(text.startswith("mean") for text in texts(figure)) == 2


def of_every_recipe():
    cells, networks = tables()
    pairs = [("random", "random"), ("trained", "random"), ("calibrated", "trained"), ("trained", "calibrated")]
    others = [cells.assign(sender_recipe=sender, receiver_recipe=receiver) for sender, receiver in pairs]
    similar = [cells.assign(objective=objective) for objective in ("similarity", "soft")]
    return pd.concat([cells[cells.sender_recipe == "trained"], *similar, *others]), networks


@pytest.mark.parametrize("width", ["natural", "two-columns"])
def test_the_figure_is_wider_than_high(width):
    figure = objectives.draw(*of_every_recipe(), "viridis", Paper(width))
    across, down = figure.get_size_inches()
    assert across > down


@pytest.mark.parametrize("width", WIDTHS)
def test_no_heading_touches_another(width):
    figure = objectives.draw(*of_every_recipe(), "viridis", Paper(width))
    headings = [text for text in figure.axes[0].texts if "→" in text.get_text()]
    boxes = [text.get_window_extent(FigureCanvasAgg(figure).get_renderer()) for text in headings]
    assert len({text.get_text() for text in headings}) == 6
    assert not [one for one, other in combinations(boxes, 2) if one.overlaps(other)]
    panels = figure.axes[0].images[:-1]
    assert len({tuple(np.round(image.get_extent(), 3)) for image in panels}) == len(panels) == 9
