"""One colour for one thing, in every figure: Okabe and Ito's, which colour-blind readers tell apart.

Depth, sigma and accuracy are numbers, and take the study's colour map instead.
"""

BLUE, ORANGE, SKY, VERMILLION, GREEN, PURPLE = "#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#009e73", "#cc79a7"
GREY, YELLOW, BLACK = "#8a8a8a", "#f0e442", "#000000"
# By recipes of sender and receiver. Pairs with a pretrained network have Tol's muted colours: Okabe and Ito's are nine.
_RECIPES = {
    ("trained", "trained"): BLUE,
    ("trained", "random"): BLACK,
    ("trained", "calibrated"): SKY,
    ("trained", "pretrained"): "#44aa99",
    ("random", "trained"): ORANGE,
    ("random", "random"): GREY,
    ("random", "calibrated"): YELLOW,
    ("random", "pretrained"): "#999933",
    ("calibrated", "trained"): GREEN,
    ("calibrated", "random"): PURPLE,
    ("calibrated", "calibrated"): VERMILLION,
    ("calibrated", "pretrained"): "#aa4499",
    ("pretrained", "trained"): "#332288",
    ("pretrained", "random"): "#ddcc77",
    ("pretrained", "calibrated"): "#117733",
    ("pretrained", "pretrained"): "#882255",
}
# What else has a colour, by its name in the tables.
ROLES = {
    "task": BLUE,  # accuracy of its stitches
    "remapped": VERMILLION,  # and of their control
    "probe": GREEN,  # a linear probe, beside a stitch
    "ridge": BLUE,
    "trees": ORANGE,
    "least-squares": BLUE,
    "random": ORANGE,  # the starts of a stitch
}


def by_recipes() -> dict[str, str]:
    """The colours of pairs, by `<sender's recipe> → <receiver's recipe>`."""
    return {" → ".join(recipes): colour for recipes, colour in _RECIPES.items()}


def of_recipes(sender: str, receiver: str) -> str:
    """The colour of pairs of two recipes."""
    return _RECIPES[sender, receiver]
