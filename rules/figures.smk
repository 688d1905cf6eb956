"""Figures: one heat map per pair, all pairs at a glance and averaged, and the controls beside the trained pairs."""

COLORMAP = STUDY.figures.colormap
PAIR_FIGURES = [RESULTS / "figures/pairs"] if PAIRS_DRAWN else []
OVERVIEW_FIGURES = [
    file
    for objective, recipes in SHOWN_RECIPES.items()
    for sender, receiver in recipes
    for file in in_report(
        f"{RESULTS}/figures/overview_{objective}_{sender}_to_{receiver}",
        "../report/overview.rst",
        "All pairs at a glance",
        objective,
        figure=recipes_label(sender, receiver),
    )
]
CONTROLS_FIGURES = [
    file
    for objective in COMPARED
    for file in in_report(
        f"{RESULTS}/figures/controls_{objective}",
        "../report/controls.rst",
        "All pairs at a glance",
        objective,
        figure="99 controls",
    )
]
DEPTH_RECIPES = {name: recipes for name, recipes in SHOWN_RECIPES.items() if name != IMAGE}  # which has no depth
DEPTH_FIGURES = [
    file
    for objective, recipes in DEPTH_RECIPES.items()
    for sender, receiver in recipes
    for file in in_report(
        f"{RESULTS}/figures/depth_{objective}_{sender}_to_{receiver}",
        "../report/depth.rst",
        "The average pair",
        objective,
        figure=recipes_label(sender, receiver),
    )
]
OBJECTIVES_FIGURE = (
    in_report(
        f"{RESULTS}/figures/objectives",
        "../report/objectives.rst",
        "All pairs at a glance",
        "all objectives",
        figure="objectives",
    )
    if len(OBJECTIVES) > 1
    else []
)
# Plain text: as inputs of another Snakefile's rule, flagged files would lose their captions.
FIGURES = [str(file) for file in PAIR_FIGURES + OVERVIEW_FIGURES + CONTROLS_FIGURES + DEPTH_FIGURES + OBJECTIVES_FIGURE]


# One job per kind of figure: a process takes seconds to start, a figure half a one.
if PAIRS_DRAWN:

    rule draw_pairs:
        input:
            cells=TABLES["cells_parquet"],
            networks=TABLES["networks"],
            comparisons=COMPARISONS["comparisons"],
        output:
            of_pairs(PAIR_FIGURES[0], "{objective}/{sender}/{receiver}", "../report/pair.rst", "Pairs"),
        log:
            RESULTS / "logs/draw_pairs.log",
        benchmark:
            RESULTS / "benchmarks/draw_pairs.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=pair_figures_minutes,
        params:
            colormap=COLORMAP,
            formats=DRAWN,
            paper=PAPER,
            caption=caption_of("pair.rst"),
            pairs=digest_each(all_records),
            code=code_of("draw_pairs.py"),
        script:
            "../workflow_scripts/draw_pairs.py"


rule draw_overviews:
    input:
        cells=TABLES["cells_parquet"],
        networks=TABLES["networks"],
    output:
        OVERVIEW_FIGURES,
        CONTROLS_FIGURES,
    log:
        RESULTS / "logs/draw_overviews.log",
    benchmark:
        RESULTS / "benchmarks/draw_overviews.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        recipes=SHOWN_RECIPES,
        colormap=COLORMAP,
        formats=DRAWN,
        paper=PAPER,
        captions={name: caption_of(f"{name}.rst") for name in ("overview", "controls")},
        pairs=digest_each(all_records),
        code=code_of("draw_overviews.py"),
    script:
        "../workflow_scripts/draw_overviews.py"


rule draw_depths:
    input:
        cells=TABLES["cells_parquet"],
        networks=TABLES["networks"],
        triangle=TRIANGLE,
    output:
        DEPTH_FIGURES,
    log:
        RESULTS / "logs/draw_depths.log",
    benchmark:
        RESULTS / "benchmarks/draw_depths.tsv"
    conda:
        "../envs/modelstitch.yaml"
    resources:
        mem_mb=tables_mb,
        runtime=tables_minutes,
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        recipes=DEPTH_RECIPES,
        colormap=COLORMAP,
        formats=DRAWN,
        paper=PAPER,
        captions={"depth": caption_of("depth.rst")},
        pairs=digest_each(all_records),
        code=code_of("draw_depths.py"),
    script:
        "../workflow_scripts/draw_depths.py"


if OBJECTIVES_FIGURE:

    rule draw_objectives:
        input:
            cells=TABLES["cells_parquet"],
            networks=TABLES["networks"],
        output:
            OBJECTIVES_FIGURE,
        log:
            RESULTS / "logs/draw_objectives.log",
        benchmark:
            RESULTS / "benchmarks/draw_objectives.tsv"
        conda:
            "../envs/modelstitch.yaml"
        resources:
            mem_mb=tables_mb,
            runtime=tables_minutes,
        params:
            measure="objectives",
            arguments={"colormap": COLORMAP},
            paper=PAPER,
            caption=caption_of("objectives.rst"),
            code=code_of("draw_measure.py", modules=("modelstitch.figures.objectives",)),
        script:
            "../workflow_scripts/draw_measure.py"
