"""The page in a browser, from a file: what it shows is what the tables say, and names are never markup."""

import shutil

import pandas as pd
import pytest

from modelstitch.analysis import verdicts
from modelstitch.explorer.writing import LIMIT
from tests.explorer.studies import HOSTILE, write_large, write_small

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install .[dev]")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
A, B = "R1111_trained_s0", "R1112_trained_s0"
CELL = f"view=pair&objective=task&sender={A}&receiver={B}"
WAIT = 120_000  # milliseconds: other tests may have the processors
VIEWS = ("summary", "overview", "pair", "compare", "scatter", "tables")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page whose complaints, and whatever it asks a network for, fail the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(WAIT)
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    local = ("file:", "data:", "blob:", "about:")
    page.on("request", lambda asked: None if asked.url.startswith(local) else complaints.append(asked.url))
    yield page
    page.close()
    assert not complaints


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def cells(small):
    return pd.read_parquet(small.parents[1] / "tables/cells.parquet")


def show(page, path, state=""):
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#{state}")
    page.wait_for_selector("#main[aria-busy=false]", timeout=WAIT)


def cell(cells, sender_layer, receiver_layer, objective="task", sender=A, receiver=B):
    keys = {"objective": objective, "sender": sender, "receiver": receiver}
    keys |= {"sender_layer": sender_layer, "receiver_layer": receiver_layer}
    (row,) = cells[(cells[list(keys)] == pd.Series(keys)).all(axis=1)].itertuples()
    return row


def middle_of(page, row, column, figure="matrix"):
    """Where a cell of a matrix lies on the screen."""
    return page.evaluate(
        """([id, row, column]) => {
            const plot = document.getElementById(`${id}-plot`);
            plot.scrollIntoView({ block: "center" });
            const box = plot.getBoundingClientRect();
            const { xaxis, yaxis } = plot._fullLayout;
            return [box.x + xaxis._offset + xaxis.l2p(column), box.y + yaxis._offset + yaxis.l2p(row)];
        }""",
        [figure, row, column],
    )


def touching(page):
    """Whether any two labels of senders, or of receivers, lie over each other; those of receivers are turned."""
    return page.evaluate(
        """() => ["y", "x"].map((axis) => {
            const { tickvals, tickangle, l2p } = document.getElementById("all-pairs-plot")._fullLayout[`${axis}axis`];
            const height = document.querySelector(`#all-pairs-plot .${axis}tick text`).getBBox().height;
            const apart = axis === "y" ? height : height / Math.sin(Math.abs(tickangle) * Math.PI / 180);
            const places = tickvals.map((value) => l2p(value)).sort((a, b) => a - b);
            return places.some((place, index) => index && place - places[index - 1] < apart - 1);
        })"""
    )


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws_at_every_width_in_light_and_dark(page, small, view):
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)
        show(page, small, f"view={view}")
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".js-plotly-plot").count() == page.locator(".plot").count()
        assert page.locator("figure details.data").count() == page.locator("figure").count()


def test_hover_says_what_the_table_says(page, small, cells):
    show(page, small, CELL)
    page.mouse.move(*middle_of(page, 2, 3))
    page.wait_for_selector("#matrix-plot .hoverlayer text")
    said = page.text_content("#matrix-plot .hoverlayer")
    row = cell(cells, 2, 3)
    assert f"{row.accuracy:.4f}" in said
    assert f"2 {row.sender_layer_name}" in said and f"3 {row.receiver_layer_name}" in said


def test_a_click_shows_the_cell_and_the_address_holds_it(page, small, cells):
    show(page, small, CELL)
    page.mouse.click(*middle_of(page, 4, 1))
    page.wait_for_selector("#confusion-plot .plot-container")
    row = cell(cells, 4, 1)
    for measure in ("accuracy", "relative_accuracy", "train_accuracy", "remapped_accuracy", "agreement"):
        value = row.accuracy - row.excess_over_remapped if measure == "remapped_accuracy" else getattr(row, measure)
        assert page.text_content(f"#cell-values [data-measure={measure}]").startswith(f"{value:.4f}")
    state = page.evaluate("location.hash")
    assert "i=4" in state and "j=1" in state
    show(page, small, state[1:])
    assert page.text_content("#cell-heading") == f"4 {row.sender_layer_name} → 1 {row.receiver_layer_name}"
    curve = page.evaluate("document.getElementById('curve-plot').data[0].y")
    assert curve == [0.2, 0.4, 0.6]


def test_confusions_are_of_the_cell_and_of_the_receivers_own_layer(page, small, cells):
    show(page, small, f"{CELL}&i=0&j=2")
    page.wait_for_selector("#confusion-plot .plot-container")
    counts = page.evaluate("document.getElementById('confusion-plot').data[0].z")
    assert sum(map(sum, counts)) == 90
    assert sum(counts[i][i] for i in range(3)) / 90 == pytest.approx(cell(cells, 0, 2).accuracy)
    page.click("#show-difference")
    page.wait_for_selector("#show-difference[aria-pressed=true]")
    difference = page.evaluate("document.getElementById('confusion-plot').data[0].z")
    own = cell(cells, 1, 1, sender=B).accuracy
    page.goto(f"{small.as_uri()}#{CELL}&i=0&j=1")
    page.wait_for_function("document.getElementById('cell-heading')?.textContent.includes('→ 1 ')")
    page.wait_for_selector("#confusion-plot .plot-container")
    difference = page.evaluate("document.getElementById('confusion-plot').data[0].z")
    assert sum(difference[i][i] for i in range(3)) / 90 == pytest.approx(cell(cells, 0, 1).accuracy - own)


def test_markup_in_names_of_classes_is_text(page, small):
    show(page, small, f"{CELL}&i=0&j=2")
    page.wait_for_selector("#confusion-plot .plot-container")
    page.mouse.move(*middle_of(page, 0, 2, "confusion"))
    page.wait_for_selector("#confusion-plot .hoverlayer text")
    said = page.text_content("#confusion-plot .hoverlayer")
    assert HOSTILE[0] in said and HOSTILE[2] in said
    page.click("#confusion-fold")
    assert page.text_content("#confusion-table tbody td") == HOSTILE[0]
    assert page.locator("img[src=x]").count() == 0


def test_keys_move_through_a_matrix_and_open_pairs(page, small):
    show(page, small, "view=overview")
    page.focus("#all-pairs-plot")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "all-pairs-plot"
    page.keyboard.press("Enter")
    page.wait_for_selector("#matrix-plot .plot-container")
    assert page.text_content("h2") == "R1111 trained → R1112 trained"
    page.focus("#matrix-plot")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.text_content("#cell-heading").startswith("0 layers.0 → 2 layers.2")
    assert "receiver layer 2 layers.2" in page.text_content("#spoken")
    page.go_back()
    page.wait_for_selector("#all-pairs-plot .plot-container")


def test_keys_cross_a_pair_that_the_study_lacks(page, small):
    """The study has no untrained receiver: among two of three networks, squares are missing."""
    show(page, small, "view=overview&recipes=all")
    page.evaluate("""() => {
        const missing = (pair) => pair.sender === "R1112_trained_s0" && pair.receiver === "R1111_trained_s0";
        study.pairs = study.pairs.filter((pair) => !missing(pair));
        render();
    }""")
    page.focus("#all-pairs-plot")
    reached = []
    for _ in range(3):
        page.keyboard.press("ArrowDown")
        reached.append(page.evaluate("state.sender"))
    assert reached == [A, "R1111_random_s0", "R1111_random_s0"]  # and not the missing one between them


def test_keys_move_through_a_comparison_and_open_the_cell(page, small, cells):
    show(page, small, f"{CELL.replace('pair', 'compare', 1)}&objective2=task&sender2={B}&receiver2={B}")
    page.focus("#difference-plot")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "difference-plot"
    said = page.text_content("#spoken")
    assert pd.isna(cell(cells, 1, 2, sender=B).accuracy)  # it diverged
    assert f"left {cell(cells, 1, 2).accuracy:.4f}, right \N{EN DASH}, difference \N{EN DASH}" in said
    page.keyboard.press("ArrowRight")
    left, right = cell(cells, 1, 3).accuracy, cell(cells, 1, 3, sender=B).accuracy
    for place in ("#spoken", "#compared-cell"):
        assert f"left {left:.4f}, right {right:.4f}" in page.text_content(place)
    marked = page.evaluate(
        "['left', 'right'].map((id) => document.getElementById(`${id}-plot`).layout.shapes[0].y0 + 0.5)"
    )
    assert marked == [1, 1]
    page.focus("#right-plot")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cell-heading")
    assert page.text_content("h2") == "R1112 trained → R1112 trained"


def test_keys_reach_every_point_of_the_scatter(page, small):
    show(page, small, "view=scatter&x=test_loss&y=accuracy&recipes=all")
    page.focus("#scatter-plot")
    page.keyboard.press("ArrowRight")
    first = page.evaluate("state.behind")
    assert first and page.evaluate("document.activeElement.id") == "scatter-plot"
    assert "accuracy about" in page.text_content("#spoken")
    squares = page.evaluate("""() => {
        const all = points();
        const of = (key) => all.map((one) => one[key]);
        const ends = (key) => [Math.min(...of(key)), Math.max(...of(key))];
        const bin = (value, [low, high]) => Math.min(BINS - 1, Math.floor(((value - low) / (high - low || 1)) * BINS));
        const squares = all.map((one) => [bin(one.x, ends("x")), bin(one.y, ends("y"))]);
        const seen = new Set([String(squares[0])]);
        const open = [squares[0]];
        while (open.length) {
            const from = open.pop();
            for (const step of Object.values(ARROWS)) {
                const next = nextSquare(squares, from, step);
                if (!seen.has(String(next))) { seen.add(String(next)); open.push(next); }
            }
        }
        return [seen.size, new Set(squares.map(String)).size, squares.some(([x, y]) => `${x}_${y}` === state.behind)];
    }""")
    assert squares[0] == squares[1] > 5 and squares[2]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('table')?.id") == "behind-table"
    page.focus("#scatter-plot")
    page.keyboard.press("Escape")
    assert page.locator("#behind").count() == 0


@pytest.mark.parametrize("view", ["overview", "overview&squares=pairs", "pair", "compare", "scatter"])
def test_a_scale_of_colours_says_what_it_is_of(page, small, view):
    show(page, small, f"view={view}&measure=relative_accuracy")
    bars = page.evaluate("""() => [...document.querySelectorAll(".js-plotly-plot")].flatMap((plot) => plot.data)
        .filter((trace) => trace.type === "heatmap").map((trace) => trace.colorbar.title.text.replace("<br>", " "))""")
    assert all(bars) and (view == "scatter" or any("relative accuracy" in words for words in bars))
    inside = page.evaluate("""() => [...document.querySelectorAll(".cbtitle")].every((title) => {
        const [one, whole] = [title, title.closest("svg")].map((element) => element.getBoundingClientRect());
        return one.right <= whole.right + 1 && one.top >= whole.top - 1;
    })""")
    assert inside


def test_the_table_of_networks_leads_to_their_own_matrices_as_the_figure_does(page, small):
    show(page, small, "view=summary")
    page.click("#networks-fold")
    page.locator("#networks-table tbody a", has_text=B).press("Enter")
    page.wait_for_selector("#matrix-plot .plot-container")
    assert page.text_content("h2") == "R1112 trained → R1112 trained"


def test_a_failed_cell_is_marked_and_says_why(page, small):
    show(page, small, f"view=pair&objective=task&sender={B}&receiver={B}&i=1&j=2")
    assert page.evaluate("document.getElementById('matrix-plot').data[0].z[1][2]") is None
    assert page.text_content("#cell-values [data-measure=reason]") == "loss not finite"


def test_two_matrices_and_their_difference(page, small, cells):
    show(page, small, f"{CELL.replace('pair', 'compare', 1)}&objective2=remapped&sender2={A}&receiver2={B}")
    z = page.evaluate("document.getElementById('difference-plot').data[0].z")
    expected = cell(cells, 3, 4).accuracy - cell(cells, 3, 4, objective="remapped").accuracy
    assert z[3][4] == pytest.approx(expected, abs=1e-4)


def test_filters_leave_what_they_name(page, small, cells):
    show(page, small, "view=scatter&x=test_loss&y=accuracy&recipes=all&senders=R1112")
    wanted = cells[(cells.objective == "task") & (cells.sender_architecture == "R1112") & cells.accuracy.notna()]
    shown = page.evaluate("document.getElementById('scatter-plot').data.flatMap((trace) => trace.y)")
    assert sorted(shown) == pytest.approx(sorted(wanted.accuracy), abs=1e-4)


def test_a_point_of_the_scatter_lists_the_cells_behind_it(page, small, cells):
    show(page, small, "view=scatter&x=depth_difference&y=accuracy&recipes=all")
    page.evaluate(
        """() => { const plot = document.getElementById("scatter-plot");
        const { x, y } = { x: plot.data[0].x[0], y: plot.data[0].y[0] };
        plot.emit("plotly_click", { points: [{ x, y }] }); }"""
    )
    rows = page.locator("#behind-table tbody tr")
    assert rows.count() >= 1
    rows.first.locator("a").click()
    page.wait_for_selector("#cell-heading")


def test_tables_sort_and_data_and_figures_can_be_saved(page, small, cells):
    show(page, small, "view=overview")
    page.click("#pairs-by-mean")
    means = [float(text) for text in page.locator("#pairs tbody td:nth-child(4)").all_text_contents()]
    assert means == sorted(means, reverse=True) and len(means) == 4
    show(page, small, CELL)
    for kind, start in (("csv", b"sender layer,"), ("svg", b"<svg"), ("png", b"\x89PNG")):
        with page.expect_download() as saved:
            page.click(f"#matrix-{kind}")
        with open(saved.value.path(), "rb") as file:
            content = file.read()
        assert saved.value.suggested_filename == f"small-matrix-task-{A}-{B}.{kind}" and content.startswith(start)
        if kind == "csv":
            assert f"{cell(cells, 0, 0).accuracy:.5g}" in content.decode().splitlines()[1]


def test_what_is_too_much_for_the_page_lies_beside_it(page, small, tmp_path):
    limit = small.stat().st_size - 2_000
    path = write_small(tmp_path, limit=limit)
    beside = {file.name for file in (path.parent / "data").iterdir()}
    assert path.stat().st_size <= limit and beside and not beside & {"plotly.js", "study.js"}
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, path, f"view=pair&objective=task&sender={B}&receiver={B}&i=4&j=1")
    page.wait_for_selector("#confusion-plot .plot-container")
    assert {url.split("/")[-1] for url in asked} & beside


def test_two_runs_give_equal_bytes(small, tmp_path):
    assert write_small(tmp_path).read_bytes() == small.read_bytes()


def test_a_thousand_pairs_are_one_file(page, tmp_path):
    """How soon they are seen: `benchmarks/explorer.py`."""
    path = write_large(tmp_path)
    assert path.stat().st_size < LIMIT and not list((path.parent / "data").iterdir())
    show(page, path, "view=overview&recipes=all")
    pairs = page.evaluate("new Set(document.getElementById('all-pairs-plot').data[0].places.flat()).size")
    assert pairs == 1024 + 1  # and the gaps between them
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        show(page, path, "view=overview&recipes=all")
        assert page.locator("#all-pairs-plot .ytick text").count() >= 8
        assert touching(page) == [False, False]
        drawn = page.evaluate("document.getElementById('all-pairs-plot').scrollWidth")
        assert drawn <= width


def test_the_verdicts_of_the_summary_are_the_tables(page, tmp_path):
    row = dict.fromkeys(verdicts.COLUMNS, 0) | {"measure": "linear_cka", "control": "image", "depth": "all"}
    row |= {"matched_auc": 0.75, "matched_auc_low": 0.625, "matched_auc_high": 0.875, "verdict": "tells apart"}
    path = write_small(tmp_path, verdicts=pd.DataFrame([row]))
    show(page, path, "view=summary")
    told = page.locator("#verdicts-summary tbody td").all_text_contents()
    assert told[:2] == ["debiased linear CKA", "image"]
    assert {"0.7500", "0.6250", "0.8750", "tells apart"} <= set(told)
    assert "\N{EN DASH}" not in told
