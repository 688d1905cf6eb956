"""A study file: which networks are stitched, how, and what is drawn.

Every key is required, so a study file tells all of it. `load_study` checks a whole file and names every problem in it;
a job gets its own section as plain values (`section.model_dump(mode="json")`) and reads it back
(`Training.model_validate(values)`). Rates, epochs and shifts are plain numbers, in the unit the description gives.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from modelstitch.config.messages import lines, mistake, nearest
from modelstitch.errors import ModelstitchError
from modelstitch.files import replacing
from modelstitch.identifiers import RECIPES, NetworkId, Pair
from modelstitch.networks.architectures import ALIASES, EXPECTED, PATTERN, canonical, count_layers


def _check_architecture(value: str) -> str:
    """The name that ids hold."""
    if re.fullmatch(PATTERN, name := canonical(value)):
        return name
    if re.fullmatch("[Rr][0-9]{4}", value):
        reason = "digits must be 1 to 9" if value[0] == "R" else "R is a capital"
        hint = f" (did you mean {value.upper().replace('0', '1')!r}?)"
    else:
        reason, hint = f"{EXPECTED}, or {' or '.join(ALIASES)}", nearest(value, ALIASES)
    raise mistake(((), f"{value!r} is not an architecture: {reason}{hint}"))


def _check_colormap(value: str) -> str:
    import matplotlib  # only where a study is checked: jobs that read another section start without it

    if value not in matplotlib.colormaps:
        hint = nearest(value, matplotlib.colormaps) or " (viridis, magma, cividis, ...)"
        raise mistake(((), f"{value!r} is not a colormap of matplotlib{hint}"))
    return value


def _check_repeats(values: tuple, info: ValidationInfo) -> tuple:
    found = []
    for index, value in enumerate(values):
        if (first := values.index(value)) < index:
            name = f" ({value})" if isinstance(value, str) else ""  # an alias may stand in the file
            found.append(((index,), f"repeats {info.field_name}[{first}]{name}: list each once"))
    if found:
        raise mistake(*found)
    return values


def _layers_tag(value: object) -> str | None:
    if isinstance(value, (list, tuple)):
        return "list"
    return "all" if value == "all" else None


# YAML gives a list, which strict mode refuses for a tuple.
UNIQUE = (Strict(False), Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_check_repeats))

Architecture = Annotated[
    str,
    AfterValidator(_check_architecture),
    Field(json_schema_extra={"pattern": f"^({'|'.join([PATTERN, *ALIASES])})$"}),
]
Recipe = Literal[RECIPES]
Precision = Literal["float32", "bfloat16", "auto"]
Seed = Annotated[int, Field(ge=0)]
Layers = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[tuple[Annotated[int, Field(ge=0)], ...], *UNIQUE, Tag("list")],
    Discriminator(
        _layers_tag, custom_error_type="layers", custom_error_message="expected all, or a list of layers (write [0, 2])"
    ),
]

# Of stitches for the task, whatever their protocol.
STARTS = ("least-squares", "random")
Start = Literal[STARTS]

PRECISION = "float32, bfloat16, or auto: bfloat16 where the processor or GPU computes it faster, else float32"


class Section(BaseModel):
    """Part of a study: no unknown key, no value of another type, no change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Digits(Section):
    """The handwritten digits of scikit-learn, scaled to 32 x 32: needs no download."""

    source: Literal["digits"] = Field(description="where the images come from")


class Cifar(Section):
    """CIFAR-10 or CIFAR-100, downloaded unless the archive is there."""

    source: Literal["cifar10", "cifar100"] = Field(description="where the images come from")
    folder: Annotated[str, AfterValidator(os.path.expanduser)] = Field(
        min_length=1, description="folder of the archive, from the root of the checkout"
    )


class ImageFolder(Section):
    """Images of one's own: train/<class>/* and test/<class>/* in a directory or an archive."""

    source: Literal["imagefolder"] = Field(description="where the images come from")
    path: Annotated[str, AfterValidator(os.path.expanduser)] = Field(
        min_length=1, description="directory, or .tar, .tar.gz or .tar.xz archive, from the root of the checkout"
    )


class Augmentation(Section):
    """Random changes of each training image, drawn anew each epoch."""

    flip: bool = Field(description="mirror each image left to right, or not, by chance")
    shift: int = Field(ge=0, description="largest shift in each direction, in pixels; 0 is none")
    cutout: int = Field(ge=0, description="side of the square that is blanked, in pixels; 0 is none")


class Training(Section):
    """How networks of the recipe `trained` are trained: SGD with momentum, linear warm-up, then cosine to 0."""

    epochs: int = Field(ge=1, description="passes over the training images")
    batch: int = Field(ge=1, description="images a step")
    learning_rate: float = Field(gt=0, description="peak learning rate, at the end of the warm-up")
    momentum: float = Field(ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(ge=0, description="weight decay of SGD (L2, times the learning rate)")
    warmup_epochs: int = Field(ge=0, description="epochs of linear warm-up, fewer than `epochs`")
    augmentation: Augmentation = Field(description="random changes of the training images")
    precision: Precision = Field(description=PRECISION)

    @field_validator("warmup_epochs")
    @classmethod
    def _shorter_than_training(cls, value: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if epochs is not None and value >= epochs:
            raise mistake(((), f"{value} is too long: expected fewer than the {epochs} epochs of training"))
        return value


class Networks(Section):
    """The family of networks: every architecture with every seed, in the recipes that `pairs` names."""

    architectures: Annotated[tuple[Architecture, ...], *UNIQUE] = Field(
        description="R and the number of blocks (1 to 9) in each of four stages; ResNet18 is R2222, ResNet34 R3463"
    )
    width: int = Field(ge=1, description="channels of the stem and the first stage; doubled at each later stage")
    seeds: Annotated[tuple[Seed, ...], *UNIQUE] = Field(description="seeds of the networks: one network for each")
    training: Training = Field(description="how networks of the recipe `trained` are trained")


class PairRecipes(Section):
    """Every network of the sender's recipe with every network of the receiver's, self-pairs included."""

    sender: Recipe = Field(description="recipe of the network that gives its first layers")
    receiver: Recipe = Field(description="recipe of the network that gives its last layers")


class StitchSettings(Section):
    """What stitches of every objective and protocol need."""

    precision: Precision = Field(description=PRECISION)
    sender_layers: Layers = Field(description="rows of the matrix: all, or a list of layers; 0 is the stem")
    receiver_layers: Layers = Field(description="columns of the matrix: all, or a list of layers; 0 is the stem")
    keep_stitches: bool = Field(description="keep the trained stitches beside each pair's record")


class TrainedStitches(StitchSettings):
    """What every protocol that takes steps needs."""

    epochs: float = Field(gt=0, description="passes over the training images; 0.25 is a quarter of them")
    batch: int = Field(ge=1, description="images a step")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    augmentation: Augmentation = Field(description="random changes of the training images")


class PaperStitches(TrainedStitches):
    """The protocol of arXiv 2303.11277: random start, SGD with momentum, linear warm-up, then cosine to 0."""

    protocol: Literal["paper"] = Field(description="how a stitch is trained")
    momentum: float = Field(ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(ge=0, description="weight decay of SGD (L2, times the learning rate)")
    warmup_epochs: float = Field(
        ge=0, description="epochs of linear warm-up; where longer than `epochs`, the rate never reaches its peak"
    )


class FastStitches(TrainedStitches):
    """The converged matrix for less: least-squares start, soft labels, Muon as if senders were whitened."""

    protocol: Literal["fast"] = Field(description="how a stitch is trained")
    learning_rate: float = Field(
        gt=0,
        description="how far the first step moves what a stitch gives, in standard deviations of what it should give; "
        "up to ten times as far where the receiver guesses",
    )
    statistics_images: int = Field(
        ge=1,
        description="training images for least squares, whitening and soft labels; all where there are fewer",
    )


class LeastSquares(StitchSettings):
    """The stitch of least mean squared error to the expected representation, in closed form: one pass, no step."""

    protocol: Literal["least-squares"] = Field(description="how a stitch is trained")
    ridge: float = Field(
        ge=0, description="added to the covariance of what a stitch sees, as a share of its mean variance"
    )


TaskStitches = Annotated[PaperStitches | FastStitches, Field(discriminator="protocol")]
SimilarityStitches = Annotated[PaperStitches | LeastSquares, Field(discriminator="protocol")]


class Stitches(Section):
    """One section for each objective that the study has: at least one."""

    task: TaskStitches | None = Field(
        default=None, description="cross-entropy through the receiver's frozen suffix: the paper's vanilla stitches"
    )
    similarity: SimilarityStitches | None = Field(
        default=None, description="mean squared error to the receiver's expected representation"
    )

    @model_validator(mode="after")
    def _any(self) -> "Stitches":
        if not self.objectives():
            raise mistake(((), f"no objective: expected at least one of {', '.join(type(self).model_fields)}"))
        return self

    def objectives(self) -> dict[str, PaperStitches | FastStitches | LeastSquares]:
        """The settings of each objective of the study, by its name."""
        return {name: settings for name, settings in self if settings is not None}


def objective_settings(objective: str, values: Any) -> PaperStitches | FastStitches | LeastSquares:
    """The section of one objective from plain values, as a job gets it."""
    return getattr(Stitches.model_validate({objective: values}), objective)


class Probes(Section):
    """A linear probe on every layer of every sender: what can be read from it without a receiver."""

    images: int = Field(ge=1, description="training images of a probe; all where there are fewer")


class Hacking(Section):
    """Does a stitch preserve the expected representation, or hack the receiver? Of every cell of the study."""

    images: int = Field(
        ge=2,
        description="training images that the expected representation is learnt from, and test images that stitched "
        "ones are measured on; all where there are fewer",
    )
    neighbours: int = Field(ge=1, description="k of the k-nearest-neighbour measures, fewer than `images`")

    @field_validator("neighbours")
    @classmethod
    def _fewer_than_images(cls, value: int, info: ValidationInfo) -> int:
        images = info.data.get("images")
        if images is not None and value >= images:
            raise mistake(((), f"{value} is too many: expected fewer than the {images} images"))
        return value


class Generation(Section):
    """Stitches from every sender layer into the receiver's input: the images that a network's layers make."""

    images: int = Field(ge=1, description="test images that image metrics are computed on; all where there are fewer")
    shown: int = Field(
        ge=1, description="test images in the figures, each of another class as far as there are classes"
    )


class NamedPair(Section):
    """One ordered pair of the study."""

    sender: str = Field(description="a network of the study: R1111_trained_s0")
    receiver: str = Field(description="a network of the study: R1111_trained_s0")


class Budget(Section):
    """The task matrix of some pairs as its training grows, from two starts."""

    epochs: Annotated[tuple[Annotated[float, Field(gt=0)], ...], *UNIQUE] = Field(
        description="passes over the training images, a matrix for each: [0.25, 1, 4, 16]"
    )
    pairs: Annotated[tuple[NamedPair, ...], *UNIQUE] = Field(description="the ordered pairs, by their networks")


class Measures(Section):
    """What else is measured; each section may be left out."""

    probes: Probes | None = Field(default=None, description="a linear probe on every sender layer")
    hacking: Hacking | None = Field(default=None, description="does a stitch preserve, or hack?")
    generation: Generation | None = Field(default=None, description="images from stitches into the receiver's input")
    budget: Budget | None = Field(default=None, description="the matrix as its training grows")


class Figures(Section):
    """How figures are drawn: a change redraws them and re-runs nothing else."""

    colormap: Annotated[str, AfterValidator(_check_colormap)] = Field(description="a colormap of matplotlib")
    formats: Annotated[tuple[Literal["png", "pdf", "svg"], ...], *UNIQUE] = Field(
        description="files drawn for each figure; png is required, the report shows it"
    )

    @field_validator("formats")
    @classmethod
    def _with_png(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "png" not in value:
            raise mistake(((), "png is missing: expected it in the list, the report shows it"))
        return value


class Jobs(Section):
    """How the work is cut and run: a change re-runs nothing."""

    layers_per_job: Annotated[int, Field(ge=1)] | None = Field(
        description="receiver layers a job; null is one job a pair"
    )
    threads: int = Field(ge=1, description="processor cores a job of training or stitching")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto takes a GPU where there is one")


class Study(Section):
    """A study of modelstitch."""

    study: str = Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the study's folder in results/: letters, digits, '-', '_' and '.', at most 100",
    )
    seed: Seed = Field(description="seed of the whole study; every other random number is drawn from it and from names")
    dataset: Annotated[Digits | Cifar | ImageFolder, Field(discriminator="source")] = Field(description="the images")
    networks: Networks = Field(description="the family of networks")
    pairs: Annotated[tuple[PairRecipes, ...], *UNIQUE] = Field(
        description="which recipes are stitched to which; only networks of these recipes are made"
    )
    stitches: Stitches = Field(description="how stitches are trained, an objective each")
    measures: Measures = Field(description="what else is measured; {} is nothing")
    figures: Figures = Field(description="how figures are drawn")
    jobs: Jobs = Field(description="how the work is cut and run; a change re-runs nothing")

    @field_validator("stitches")
    @classmethod
    def _layers_exist(cls, stitches: Stitches, info: ValidationInfo) -> Stitches:
        networks = info.data.get("networks")
        if networks is None:
            return stitches
        shallowest = min(networks.architectures, key=count_layers)
        layers = count_layers(shallowest)
        mistakes = [
            ((objective, key, index), f"no layer {layer} in {shallowest}: it has {layers} layers, 0 to {layers - 1}")
            for objective, settings in stitches.objectives().items()
            for key in ("sender_layers", "receiver_layers")
            if getattr(settings, key) != "all"
            for index, layer in enumerate(getattr(settings, key))
            if layer >= layers
        ]
        if mistakes:
            raise mistake(*mistakes)
        return stitches

    @field_validator("measures")
    @classmethod
    def _budget_of_the_study(cls, measures: Measures, info: ValidationInfo) -> Measures:
        """Pairs of networks that the study makes, trained for an objective that it has."""
        if measures.budget is None or not {"networks", "pairs", "stitches"} <= info.data.keys():
            return measures
        if info.data["stitches"].task is None:
            raise mistake((("budget",), "expected stitches.task, whose protocol it follows, or no budget"))
        networks, recipes = info.data["networks"], info.data["pairs"]
        known = {
            (str(sender), str(receiver))
            for pair in recipes
            for sender in _family(networks, pair.sender)
            for receiver in _family(networks, pair.receiver)
        }
        names = sorted({name for pair in known for name in pair})
        mistakes = []
        for index, pair in enumerate(measures.budget.pairs):
            unknown = [(role, name) for role, name in pair if name not in names]
            for role, name in unknown:
                text = (
                    f"{name!r} is not a network of the study: expected one of {', '.join(names)}{nearest(name, names)}"
                )
                mistakes.append((("budget", "pairs", index, role), text))
            if not unknown and (pair.sender, pair.receiver) not in known:
                text = f"{pair.sender} → {pair.receiver} is not a pair of the study: see `pairs`"
                mistakes.append((("budget", "pairs", index), text))
        if mistakes:
            raise mistake(*mistakes)
        return measures

    def objectives(self) -> list[str]:
        """What stitches are trained for, by name."""
        return list(self.stitches.objectives())

    def networks_needed(self) -> list[NetworkId]:
        """Every network that a pair names, each once: by recipe, architecture and seed."""
        named = {recipe for pair in self.pairs for recipe in (pair.sender, pair.receiver)}
        return [network for recipe in RECIPES if recipe in named for network in _family(self.networks, recipe)]

    def ordered_pairs(self) -> list[Pair]:
        """Every ordered pair of networks, in the order of `pairs`, then of senders, then of receivers."""
        return [
            Pair(sender, receiver)
            for recipes in self.pairs
            for sender in _family(self.networks, recipes.sender)
            for receiver in _family(self.networks, recipes.receiver)
        ]

    def sender_layers(self, objective: str, sender: NetworkId) -> list[int]:
        """Layers of the sender that are stitched, in ascending order: the rows of its matrices."""
        return _chosen(getattr(self.stitches, objective).sender_layers, sender)

    def receiver_layers(self, objective: str, receiver: NetworkId) -> list[int]:
        """Layers of the receiver that stitches stand for, in ascending order: the columns of its matrices."""
        return _chosen(getattr(self.stitches, objective).receiver_layers, receiver)


def _family(networks: Networks, recipe: str) -> list[NetworkId]:
    return [NetworkId(name, recipe, seed) for name in networks.architectures for seed in networks.seeds]


def _chosen(layers: Literal["all"] | tuple[int, ...], network: NetworkId) -> list[int]:
    return list(range(count_layers(network.architecture))) if layers == "all" else sorted(layers)


def load_study(values: Any, source: str) -> Study:
    """Check the values of a study file.

    Args:
        values: what a YAML parser made of the file.
        source: the file's name, for the errors.

    Raises:
        ModelstitchError: one line for each problem, with the file, the key, the value and what was expected.
    """
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ModelstitchError("\n".join(f"{source}: {line}" for line in lines(error, Study, values))) from None


def check_repeated_keys(text: str, source: str) -> None:
    """Refuse a study file that has a key twice, of which YAML takes the last without a word.

    Raises:
        ModelstitchError: one line for each, with the file, the key and its lines.
    """
    repeated = list(_repeated_keys(yaml.compose(text), ""))
    if repeated:
        raise ModelstitchError("\n".join(f"{source}: {line}" for line in repeated))


def _repeated_keys(node: yaml.Node | None, place: str) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated_keys(item, f"{place}[{index}]")
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = f"{place}.{key.value}".removeprefix("."), key.start_mark.line + 1
            if name in lines:
                yield f"{name}: stands in line {lines[name]} and again in line {line}: expected once"
            lines.setdefault(name, line)
            yield from _repeated_keys(value, name)


def write_schema(path: Path | str) -> None:
    """Write the JSON schema of a study, by which an editor completes and checks a study file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema()
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schema, indent=2) + "\n")
