"""Default settings of stitches: those of the default study, and those of the paper."""

from typing import Any

from pydantic import ValidationError

from modelstitch.config.messages import lines, listed
from modelstitch.config.stitches import Stitches, StitchSettings, objective_settings, section_of
from modelstitch.errors import ModelstitchError

COMMON = {"sender_layers": "all", "receiver_layers": "all", "keep_stitches": False, "precision": "float32"}
ADAM = {
    "epochs": 30,
    "batch": 256,
    "learning_rate": 0.001,
    "weight_decay": 0.00001,
    "statistics_images": 500,
    "augmentation": {"flip": True, "shift": 4, "cutout": 0},
}  # arXiv 2412.11299, and the images of arXiv 2505.20142
PROTOCOLS: dict[tuple[str, str], dict[str, Any]] = {
    ("task", "fast"): {
        "epochs": 1,
        "batch": 32,
        "learning_rate": 0.3,
        "statistics_images": 2000,
        "augmentation": {"flip": False, "shift": 2, "cutout": 4},
    },
    ("task", "paper"): {
        "epochs": 4,
        "batch": 256,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "warmup_epochs": 1,
        "augmentation": {"flip": True, "shift": 2, "cutout": 4},
    },
    ("task", "adam"): ADAM,
    ("similarity", "least-squares"): {"ridge": 0.0001},
    ("similarity", "paper"): {
        "epochs": 30,
        "batch": 256,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "warmup_epochs": 10,
        "augmentation": {"flip": True, "shift": 2, "cutout": 4},
    },
    ("similarity", "adam"): ADAM,
}


def default_settings(objective: str, protocol: str | None, changes: dict[str, Any]) -> StitchSettings:
    """The default settings of an objective and protocol, with some changes.

    Args:
        objective: `similarity`, or an objective that is trained like `task`.
        protocol: by default `least-squares` for similarity, `fast` for all others.
        changes: new values of single keys, as in a study file.

    Raises:
        ModelstitchError: if there is no such objective or protocol, or a key is unknown or has a wrong value.
    """
    section = section_of(objective)
    if section not in Stitches.model_fields:
        raise ModelstitchError(f"objective {objective!r}: expected {listed(sorted(Stitches.model_fields))}")
    of = "similarity" if section == "similarity" else "task"
    known = [name for name in PROTOCOLS if name[0] == of]
    name = (of, protocol or known[0][1])
    if name not in PROTOCOLS:
        raise ModelstitchError(
            f"protocol {protocol!r} of {objective}: expected {listed(sorted(two for _, two in known))}"
        )
    fixed = ("sender_layers", "receiver_layers", "keep_stitches", "pairs", "protocol", "repeats")
    taken = [key for key in fixed if key in changes]
    if taken:
        raise ModelstitchError(
            f"{taken[0]}: is no setting here: layers are chosen by `layers`, stitches are always kept"
        )
    values = COMMON | {"protocol": name[1]} | PROTOCOLS[name] | changes
    try:
        return objective_settings(objective, values)
    except ValidationError as error:
        found = [line.removeprefix(f"{section}.") for line in lines(error, Stitches, {section: values})]
        raise ModelstitchError("; ".join(found)) from None
