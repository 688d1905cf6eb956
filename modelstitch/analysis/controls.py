"""Excesses of cells over their controls.

How much more accurate is a cell than the same cell with an untrained network, than a probe, than the receiver stitched
to itself, and than the same stitch on remapped labels?
"""

import pandas as pd

from modelstitch.config.stitches import is_control, is_remapped

EXCESSES_OVER_RANDOM = ("excess_over_random_sender", "excess_over_random_receiver", "excess_over_random_both")
EXCESSES = (*EXCESSES_OVER_RANDOM, "excess_over_probe", "excess_over_self")
OVER_REMAPPED = "excess_over_remapped"  # a column of the task's cells, and the objective of matrices that show it
REMAPPED_COLUMNS = (OVER_REMAPPED, "remapped_spread")
CELL = (
    "objective",
    *(f"{role}_{key}" for role in ("sender", "receiver") for key in ("architecture", "recipe", "seed", "layer")),
)


def excesses(table: pd.DataFrame, known: pd.DataFrame | None = None) -> dict[str, pd.Series]:
    """The columns `EXCESSES` of a cells table: the accuracy less that of a control; NaN if the control has no result.

    Cells of two trained networks have these controls: `random_...`, the cell of the same architectures, seeds and
    layers with one network or both untrained; `probe`, the stitch for the task from the same sender layer to the
    receiver's last layer, which is a linear probe if pooling and a linear head follow. Cells of two networks of one
    architecture, of any recipes, have `self`: the cell of the same layers with the receiver as its own sender.

    Args:
        table: the cells.
        known: a table that has the controls; by default `table`.
    """
    known = table if known is None else known
    similar = ~table.objective.map(is_control)
    receiver = {f"sender_{key}": table[f"receiver_{key}"] for key in ("architecture", "recipe", "seed")}
    trained = (table.sender_recipe == "trained") & (table.receiver_recipe == "trained")
    of_one_architecture = table.sender_architecture == table.receiver_architecture
    controls = (
        (trained, {"sender_recipe": "random"}),
        (trained, {"receiver_recipe": "random"}),
        (trained, {"sender_recipe": "random", "receiver_recipe": "random"}),
        (trained & similar, {"objective": "task", "receiver_layer": table.receiver_layer_count - 1}),
        (of_one_architecture, receiver),
    )
    return {
        name: (table.accuracy - _accuracy_of(known, table.assign(**control))).where(compared).astype("float64")
        for name, (compared, control) in zip(EXCESSES, controls, strict=True)
    }


def over_remapped(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns `REMAPPED_COLUMNS` of a cells table; NaN except for cells of the task that have this control.

    The first is the accuracy less the same cell's mean accuracy on remapped labels. The second is the standard
    deviation of the latter over permutations of the labels; NaN if there is only one.
    """
    keys = [key for key in CELL if key != "objective"]
    remapped = table[table.objective.map(is_remapped)].groupby(keys).accuracy.agg(["mean", "std"])
    found = table[keys].join(remapped, on=keys).where(table.objective == "task")
    values = (table.accuracy - found["mean"], found["std"])
    return {name: column.astype("float64") for name, column in zip(REMAPPED_COLUMNS, values, strict=True)}


def with_excess(table: pd.DataFrame) -> pd.DataFrame:
    """The cells, followed by the task's cells again with `OVER_REMAPPED` as their objective and as their accuracy.

    `relative_accuracy` is NaN there, since a difference of accuracies can not be compared with the receiver's own.
    """
    over = table[table[OVER_REMAPPED].notna()]
    over = over.assign(objective=OVER_REMAPPED, accuracy=over[OVER_REMAPPED], relative_accuracy=float("nan"))
    return pd.concat([table, over], ignore_index=True) if len(over) else table


def _accuracy_of(table: pd.DataFrame, wanted: pd.DataFrame) -> pd.Series:
    """Accuracies of the wanted cells, in their order; NaN for cells that are not in the table."""
    keys = list(CELL)
    return wanted[keys].merge(table[[*keys, "accuracy"]], on=keys, how="left", validate="many_to_one").accuracy
