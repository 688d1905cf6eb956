"""Cells beside their controls: how much more accurate than with an untrained network, than a probe, than itself."""

import pandas as pd

EXCESSES_OVER_RANDOM = ("excess_over_random_sender", "excess_over_random_receiver", "excess_over_random_both")
EXCESSES = (*EXCESSES_OVER_RANDOM, "excess_over_probe", "excess_over_self")
CELL = (
    "objective",
    *(f"{role}_{key}" for role in ("sender", "receiver") for key in ("architecture", "recipe", "seed", "layer")),
)


def excesses(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns `EXCESSES` of a cells table: the accuracy less that of a control; NaN where it has no result.

    Of cells of two trained networks only: a random control is the cell of the same architectures, seeds and layers with
    one network or both random; the probe is the stitch from the same sender layer to the receiver's last layer, trained
    for the task, which is a linear probe where pooling and a linear head follow. Of cells of two networks of one
    architecture, whatever their recipes: self is the cell of the same layers with the receiver as its own sender.
    """
    receiver = {f"sender_{key}": table[f"receiver_{key}"] for key in ("architecture", "recipe", "seed")}
    trained = (table.sender_recipe == "trained") & (table.receiver_recipe == "trained")
    of_one_architecture = table.sender_architecture == table.receiver_architecture
    controls = (
        (trained, {"sender_recipe": "random"}),
        (trained, {"receiver_recipe": "random"}),
        (trained, {"sender_recipe": "random", "receiver_recipe": "random"}),
        (trained, {"objective": "task", "receiver_layer": table.receiver_layer_count - 1}),
        (of_one_architecture, receiver),
    )
    return {
        name: (table.accuracy - _accuracy_of(table, table.assign(**control))).where(compared).astype("float64")
        for name, (compared, control) in zip(EXCESSES, controls, strict=True)
    }


def _accuracy_of(table: pd.DataFrame, wanted: pd.DataFrame) -> pd.Series:
    """Accuracies of the wanted cells, in their order; NaN for one that is not in the table."""
    keys = list(CELL)
    return wanted[keys].merge(table[[*keys, "accuracy"]], on=keys, how="left", validate="many_to_one").accuracy
