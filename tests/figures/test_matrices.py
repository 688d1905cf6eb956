"""Pictures of many matrices: what they show is what the tables say."""

import numpy as np
import pytest

from modelstitch.errors import ModelstitchError
from modelstitch.figures import matrices
from modelstitch.figures.paper import caption_of
from modelstitch.networks.small_resnet import ARCHITECTURES
from tests.figures.drawn import boxes, colours, make_tables, texts


def test_seeds_are_named_where_there_are_several():
    cells, networks = make_tables(seeds=(0, 1))
    overview = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert texts(overview).count("R1122 s1") == 2


def test_captions_of_overviews_name_the_recipes_and_differ():
    cells, networks = make_tables(["R1111", "R1112"])
    recipes = cells[["sender_recipe", "receiver_recipe"]].drop_duplicates().itertuples(index=False, name=None)
    captions = {
        pair: caption_of(matrices.draw_overview(cells, networks, "task", *pair, "viridis"), "") for pair in recipes
    }
    assert len(set(captions.values())) == len(captions) > 1
    assert captions["random", "trained"].startswith("All pairs, random → trained. Task stitches")


def test_what_the_tables_lack_is_named():
    cells, networks = make_tables(["R1111"])
    with pytest.raises(ModelstitchError, match="lacks R1111_trained_s0"):
        matrices.draw_controls(cells, networks[networks.recipe == "random"], "task", "viridis")


@pytest.mark.parametrize(("names", "annotated"), [(("R1111", "R1112", "R1122"), True), (ARCHITECTURES, False)])
def test_an_overview_has_every_pair_and_numbers_where_they_are_legible(names, annotated):
    cells, networks = make_tables(names, combinations=[("trained", "trained")])
    figure = matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis")
    assert len(colours(figure)) == len(cells)
    assert all(texts(figure).count(name) == 2 for name in names)
    assert ("0.93" in texts(figure)) == annotated
    assert max(figure.get_size_inches()) < 14


def test_long_names_of_networks_have_room():
    cells, networks = make_tables(["R1111", "R2222"])
    long = {"R2222": "swinv2_cr_tiny_ns_224.sw_in1k"}
    cells, networks = (table.replace(long, regex=True) for table in (cells, networks))
    for figure in (
        matrices.draw_overview(cells, networks, "task", "trained", "random", "viridis"),
        matrices.draw_controls(cells, networks, "task", "viridis"),
    ):
        assert len(boxes(figure)) == len(texts(figure)) and texts(figure).count(long["R2222"]) in (2, 8)


def test_controls_have_a_panel_for_every_combination_of_recipes():
    cells, networks = make_tables()
    cells.loc[cells.receiver_recipe == "random", "accuracy"] = np.nan
    figure = matrices.draw_controls(cells, networks, "task", "viridis")
    shown = texts(figure)
    headings = [text for text in shown if " → " in text]
    assert headings == ["trained → trained", "trained → random", "random → trained", "random → random"]
    assert shown.count("mean n/a, 324 of 324 failed") == 2
    assert "no result" in shown and shown.count("test accuracy") == 1
    assert len(colours(figure)) == cells.accuracy.notna().sum()


def test_controls_of_a_single_combination_and_architecture():
    cells, networks = make_tables(["R1111"], combinations=[("random", "trained")])
    assert "random → trained" in texts(matrices.draw_controls(cells, networks, "task", "viridis"))
