"""Figures for papers: their width, their letters, their colours, their captions."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread
from skimage.color import rgb2lab

from modelstitch.errors import ModelstitchError
from modelstitch.figures import gallery, hacking, matrices, pair, palette
from modelstitch.figures.paper import PAPER_DPI, TITLE_SPACE, WIDTHS, Paper, caption_of, save, wrapped
from modelstitch.identifiers import RECIPES
from tests.figures.drawn import make_tables, texts, written

PAPERS = [name for name, inches in WIDTHS.items() if inches]
# How who sees no red, or no green, sees linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


def draw(kind, width="natural", titles=True):
    return gallery.KINDS[kind]("viridis", paper=Paper(width, titles))


def fonts(resources):
    """Subtypes of all fonts of a PDF's page, and of what it is put together from."""
    for font in resources.get("/Font", {}).values():
        yield font.get_object()["/Subtype"]
        for part in font.get_object().get("/DescendantFonts", []):
            yield part.get_object()["/Subtype"]
    for drawn in resources.get("/XObject", {}).values():
        yield from fonts(drawn.get_object().get("/Resources", {}))


def assert_legible(figure):
    """All words are on the page, none lies on another, all numbers have a leading zero."""
    page, places = figure.bbox, [(one, box) for one, box in written(figure) if one.get_rotation() in (0, 90)]
    for one, box in places:
        assert page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1, one
        assert page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1, one
        assert not re.search(r"(?<![\d…])\.\d", one.get_text()), one
    for (one, box), (other, place) in itertools.combinations(places, 2):
        across = min(box.x1, place.x1) - max(box.x0, place.x0)
        down = min(box.y1, place.y1) - max(box.y0, place.y0)
        assert across < 1 or down < 0.25 * min(box.height, place.height), (one, other)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", gallery.KINDS)
def test_a_figure_has_the_papers_width_and_letters_that_can_be_read(kind, width, tmp_path):
    figure = draw(kind, width)
    assert_legible(figure)
    assert min(one.get_fontsize() for one, _ in written(figure)) >= (8 if width == "natural" else 6) - 1e-9
    save(figure, [tmp_path / "figure.pdf", tmp_path / "figure.svg"])
    (page,) = pypdf.PdfReader(tmp_path / "figure.pdf").pages
    if WIDTHS[width]:
        assert float(page.mediabox.width) / 72 == pytest.approx(WIDTHS[width], abs=1e-3)
    found = set(fonts(page["/Resources"]))
    assert found and "/Type3" not in found
    assert figure.words[0].split()[0] in page.extract_text()
    picture = (tmp_path / "figure.svg").read_text()
    assert figure.words[0].split()[0] in "".join(re.findall(r"<text[^>]*>([^<]*)", picture))


@pytest.mark.parametrize("width", PAPERS)
def test_many_layers_long_names_and_one_architecture_fit_too(width):
    paper = Paper(width)
    many = [f"R{digits}" for digits in ("1111", "1112", "1122", "1222", "2222", "3333")]
    cells, networks = make_tables(many, seeds=(0, 1))
    long = {"R2222": "swinv2_cr_tiny_ns_224.sw_in1k"}
    assert_legible(matrices.draw_overview(cells, networks, "task", "trained", "trained", "viridis", paper))
    renamed = (table.replace(long, regex=True) for table in make_tables(["R1111", "R2222"]))
    assert_legible(matrices.draw_controls(*renamed, "task", "viridis", paper))
    one = make_tables(["R1111"])
    figure = matrices.draw_controls(*one, "task", "viridis", paper)
    assert_legible(figure)
    assert figure.get_size_inches()[0] == pytest.approx(WIDTHS[width])
    cells, networks = make_tables(["R9999"])
    cells = cells.assign(sender_layer_name="encoder.blocks.attention." + cells.sender_layer.astype(str))
    figure = pair.draw_pair(cells, networks, "task", "R9999_trained_s0", "R9999_trained_s0", "viridis", None, paper)
    assert_legible(figure)
    assert figure.get_size_inches()[0] == pytest.approx(WIDTHS[width])


@pytest.mark.parametrize("width", WIDTHS)
def test_without_its_title_a_figure_is_lower_and_its_caption_has_it(width, tmp_path):
    whole, bare = draw("pair", width), draw("pair", width, titles=False)
    title, subtitle = whole.words
    assert bare.words == whole.words == (texts(draw("pair"))[0], texts(draw("pair"))[1])
    shown = texts(bare)
    assert title not in shown and subtitle not in shown and len(shown) == len(texts(whole)) - 2
    assert_legible(bare)
    scale = 1 if width == "natural" else 0.75
    lines = sum("\n" in text for text in texts(whole))
    saved = whole.get_size_inches()[1] - bare.get_size_inches()[1]
    assert saved == pytest.approx(scale * (TITLE_SPACE + 0.16 * lines), abs=0.1)
    save(bare, [tmp_path / "pair.txt"], "A cell is a stitch.")
    assert (tmp_path / "pair.txt").read_text() == (
        "R1111 trained → R1112 trained. Task stitches; the networks alone: 0.93 → 0.91. A cell is a stitch.\n"
    )
    assert caption_of(bare, "").endswith("0.91.")


def test_pixels_for_a_paper_are_fine(tmp_path):
    save(draw("capacity", "column"), [tmp_path / "capacity.png"])
    assert imread(tmp_path / "capacity.png").shape[1] == round(3.3 * PAPER_DPI)


def test_another_width_is_refused():
    with pytest.raises(ModelstitchError, match="width 'wide' of a figure: expected natural, column, two-columns"):
        Paper("wide")


def test_a_text_is_broken_where_it_is_too_wide():
    assert wrapped("one two three", 8, 100) == ["one two three"]
    assert wrapped("one two three", 8, 0.01) == ["one", "two", "three"]


def test_recipes_have_the_same_colour_in_every_figure():
    recipes = list(itertools.product(RECIPES, repeat=2))
    assert len({palette.of_recipes(*one) for one in recipes}) == len(recipes) == 16
    trained = palette.of_recipes("trained", "trained")
    page, *panels = hacking.draw(gallery.hacked(), "task").axes
    key = {text.get_text(): line.get_color() for text, line in zip(page.texts[2:], page.lines, strict=True)}
    assert key == {" → ".join(one): palette.of_recipes(*one) for one in itertools.product(RECIPES[:2], repeat=2)}
    assert to_hex(panels[0].collections[-1].get_facecolor()) == trained
    _, *panels = draw("generated_images").axes
    assert {line.get_color() for panel in panels for line in panel.lines if line.get_linewidth() == 2.2} == {trained}
    _, panel = draw("capacity").axes
    assert {line.get_label(): line.get_color() for line in panel.lines if line.get_marker() == "o"} == {
        name: palette.ROLES[name] for name in ("task", "remapped")
    }


@pytest.mark.parametrize("sight", [np.eye(3), PROTANOPIA, DEUTERANOPIA])
@pytest.mark.parametrize(
    "together",
    [
        [palette.of_recipes(*one) for one in itertools.product(("trained", "random"), repeat=2)],
        [palette.ROLES[name] for name in ("task", "remapped")],
        [palette.ROLES[name] for name in ("task", "probe")],
        [palette.ROLES[name] for name in ("ridge", "trees")],
        [palette.ROLES[name] for name in ("least-squares", "random")],
    ],
)
def test_colours_that_stand_together_are_told_apart_by_everybody(together, sight):
    linear = np.array([to_rgb(colour) for colour in together]) ** 2.2
    seen = rgb2lab(np.clip(linear @ np.transpose(sight), 0, 1) ** (1 / 2.2))
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) > 20


def test_the_key_of_the_metrics_shows_what_is_drawn():
    page, first, *_ = draw("generated_images").axes
    key = {text.get_text(): line for text, line in zip(page.texts[2:], page.lines, strict=False)}
    for words, height in (("the receivers on the originals", 0.93), ("chance", 0.1)):
        (drawn,) = [line for line in first.lines if set(np.ravel(line.get_ydata())) == {height}]
        sample = key[words]
        assert (sample.get_color(), sample.get_linestyle()) == (drawn.get_color(), drawn.get_linestyle())


def test_ticks_of_every_panel_of_hacking_stand_apart():
    wide = gallery.hacked().assign(mahalanobis=np.geomspace(0.9, 11, len(gallery.hacked())))
    assert_legible(hacking.draw(wide, "task", Paper("column")))


def test_the_budget_says_how_much_of_the_difference_is_left():
    figure = draw("training_budget")
    summary = gallery.budget_measure.measure(gallery.budgets())
    row = summary[(summary.start == "random")].sort_values("epochs")
    first, last, left = row["difference"].iloc[0], row["difference"].iloc[-1], row.left.iloc[-1]
    words = f"random start: difference from {first:.2f} to {last:.2f} ({left:.2f} of the first)"
    assert words in texts(figure) and pd.notna(left)


def test_the_gallery_shows_every_kind_of_figure():
    root = Path(gallery.__file__).parents[2]
    page = (root / "docs/gallery.md").read_text()
    assert re.findall(r"\(gallery/(\w+)\.png\)", page) == list(gallery.KINDS)
    modules = {path.stem for path in Path(gallery.__file__).parent.glob("*.py")}
    assert modules - {"__init__", "canvas", "gallery", "palette", "paper", "matrices", "words"} <= set(gallery.KINDS)
