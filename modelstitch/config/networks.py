"""The family of networks: which architectures, how they are built and trained, where other weights come from."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Strict,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from modelstitch.config.messages import mistake, nearest
from modelstitch.config.section import LISTED, PRECISION, UNIQUE, Augmentation, LocalPath, Precision, Section, Seed
from modelstitch.errors import ModelstitchError
from modelstitch.identifiers import ARCHITECTURE, RECIPES, SMALL_RESNET

ALIASES = {"ResNet18": "R2222", "ResNet34": "R3463"}  # of arXiv 1512.03385, but for the stem
LIBRARIES = ("torchvision", "timm")
EXPECTED = (
    "expected R and four digits from 1 to 9 (R1122), "
    f"{' or '.join(ALIASES)}, torchvision:<name>, timm:<name>, or <file>.py:<class> of your own"
)
MODEL = rf"{SMALL_RESNET}|{'|'.join(ALIASES)}|({'|'.join(LIBRARIES)}):.+|.+\.py:[A-Za-z_]\w*"
MAX_WIDTH = 4096  # 64 times the paper's
LIBRARY = "library"  # in place of a file of weights
Recipe = Literal[RECIPES]


def _resolve_model(value: str) -> str:
    """The name of a model in the study: `R3463` for `ResNet34`; other names are unchanged."""
    if re.fullmatch(MODEL, value):
        return ALIASES.get(value, value)
    if re.fullmatch("[Rr][0-9]{4}", value):
        reason = "digits must be 1 to 9" if value[0] == "R" else "R is a capital"
        hint = f" (did you mean {value.upper().replace('0', '1')!r}?)"
    else:
        reason, hint = EXPECTED, nearest(value, ALIASES)
    raise mistake(((), f"{value!r} is not an architecture: {reason}{hint}"))


def default_name(model: str) -> str:
    """The default name of a network with this model: `vgg11_bn` for `torchvision:vgg11_bn`."""
    return ALIASES.get(model, model).rpartition(":")[2]


class Changes(Section):
    """How the images that a network is trained on are changed: what it knows, or can't know, is then known.

    In this order: images of some classes, a share of these, their labels, a dot on each. What is drawn depends on the
    study's seed and the network's id.
    """

    classes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], *UNIQUE] | None = Field(
        default=None, description="classes, by number, whose images it is trained on; it has logits for all"
    )
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="share of the training images that it is trained on, drawn at random"
    )
    labels: Literal["shuffled"] | None = Field(
        default=None, description="shuffled: the training labels, in random order"
    )
    shortcut: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None,
        description="a dot on each image: probability that its hue is the label's; else it is any label's, by chance",
    )

    def part(self, classes: int) -> float:
        """Share of the training images that is left, if all classes have equally many."""
        return (self.share or 1) * (len(self.classes) / classes if self.classes else 1)


class Training(Section):
    """How networks of the recipe `trained` are trained: linear warm-up, then cosine to 0."""

    optimiser: Literal["sgd", "adamw"] = Field(
        description="sgd, with momentum; or adamw, which Transformers and their like need"
    )
    epochs: int = Field(ge=1, description="passes over the training images")
    batch: int = Field(ge=1, description="images per step")
    learning_rate: float = Field(gt=0, description="peak learning rate, at the end of the warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="momentum of sgd; adamw has none"
    )
    weight_decay: float = Field(
        ge=0, description="of sgd: L2, times the learning rate; of adamw: decoupled, none on biases and norms"
    )
    warmup_epochs: int = Field(ge=0, description="epochs of linear warm-up, fewer than `epochs`")
    augmentation: Augmentation = Field(description="random changes of the training images")
    precision: Precision = Field(description=PRECISION)
    changes: Changes | None = Field(
        default=None, description="of the images that it is trained on; null: they are the data set's"
    )

    @field_validator("momentum")
    @classmethod
    def _of_sgd(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("optimiser") == "adamw":
            raise mistake(((), "adamw has none: leave it out"))
        return value

    @field_validator("warmup_epochs")
    @classmethod
    def _shorter_than_training(cls, value: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if epochs is not None and value >= epochs:
            raise mistake(((), f"{value} is too long: expected fewer than the {epochs} epochs of training"))
        return value

    @model_validator(mode="after")
    def _sgd_needs_momentum(self) -> "Training":
        if self.optimiser == "sgd" and self.momentum is None:
            raise mistake((("momentum",), "missing key: momentum of sgd"))
        return self


def _size_tag(value: object) -> str | None:
    if isinstance(value, (list, tuple)):
        return "sides" if len(value) == 2 else None
    return "side" if isinstance(value, int) and not isinstance(value, bool) else None


Pixels = Annotated[int, Field(ge=1)]
Size = Annotated[
    Annotated[Pixels, Tag("side")] | Annotated[tuple[Pixels, Pixels], Strict(False), Tag("sides")],
    Discriminator(
        _size_tag, custom_error_type="size", custom_error_message="expected a number of pixels, or [height, width]"
    ),
]


class Architecture(Section):
    """A model and what it needs; a model's name alone is short for one without the rest."""

    model: Annotated[str, AfterValidator(_resolve_model)] = Field(
        description="R1122, torchvision:<name>, timm:<name> or <file>.py:<class>"
    )
    name: Annotated[str, Field(pattern=rf"^{ARCHITECTURE}$", max_length=100)] = Field(
        default="", validate_default=False, description="by which results are filed; by default that of the model"
    )
    arguments: dict[str, Any] = Field(default={}, description="keyword arguments of the model")
    stem: Literal["own", "small"] = Field(
        default="own", description="small: no stride and no pooling in the first convolution, for small images"
    )
    image_size: Size | None = Field(
        default=None, description="size that images are resized to, or [height, width]; null: as they are"
    )
    mean: Annotated[tuple[float, ...], *LISTED] | None = Field(
        default=None, description="that images are normalised with; null: the data set's"
    )
    std: Annotated[tuple[Annotated[float, Field(gt=0)], ...], *LISTED] | None = Field(
        default=None, description="that images are normalised with; null: the data set's"
    )
    layers: Annotated[tuple[str, ...], *UNIQUE] | None = Field(
        default=None, description="where it is cut, as `python -m modelstitch layers` lists them; null: at its blocks"
    )
    training: Training | None = Field(default=None, description="in place of networks.training")
    weights: LocalPath | None = Field(
        default=None,
        description=f"of the recipe pretrained: a file, in whose name {{seed}} is the seed, or {LIBRARY}",
    )
    classes: Annotated[tuple[str, ...], *UNIQUE] | None = Field(
        default=None, description="that the logits of pretrained weights mean, in their order"
    )
    seeds: Annotated[tuple[Seed, ...], *UNIQUE] | None = Field(default=None, description="in place of networks.seeds")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Read a name alone as a model, and name a network after its model by default."""
        if isinstance(values, str):
            values = {"model": values}
        if isinstance(values, dict) and isinstance(values.get("model"), str) and "name" not in values:
            values = values | {"name": default_name(values["model"])}
        return values

    @model_validator(mode="after")
    def _complete(self) -> "Architecture":
        """Check keys that depend on each other."""
        if (self.mean is None) != (self.std is None):
            raise mistake((("mean" if self.mean is None else "std",), "missing key: mean and std go together"))
        if self.weights == LIBRARY and not self.model.startswith(LIBRARIES):
            raise mistake((("weights",), f"{LIBRARY}: only for models of {' or '.join(LIBRARIES)}: expected a file"))
        if self.weights == LIBRARY and self.stem != "own":
            raise mistake((("stem",), f"{self.stem}: a library's weights are for its own stem: expected own"))
        if self.weights not in (None, LIBRARY):
            needed = {
                "mean": "that its images were normalised with ([0] and std [1]: not at all)",
                "classes": "that its logits mean, in their order",
            }
            if missing := [((key,), f"missing key: {text}") for key, text in needed.items() if not getattr(self, key)]:
                raise mistake(*missing)
        return self

    def size(self, otherwise: Sequence[int]) -> tuple[int, int]:
        """Height and width of its images: its own, or `otherwise`."""
        size = self.image_size or otherwise
        return (size, size) if isinstance(size, int) else tuple(size)

    def weights_of(self, seed: int) -> str | None:
        """The file with the weights of one seed; None for weights of a library."""
        return None if self.weights in (None, LIBRARY) else self.weights.replace("{seed}", str(seed))

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": f"^({MODEL})$"}, handler(core_schema)]}

    @property
    def is_small_resnet(self) -> bool:
        return re.fullmatch(SMALL_RESNET, self.model) is not None


class Networks(Section):
    """The family of networks: every architecture with every seed, in the recipes that `pairs` names."""

    architectures: Annotated[tuple[Architecture, ...], Strict(False), Field(min_length=1)] = Field(
        description="models by name, or as mappings with what they need: R1122, torchvision:vgg11_bn, nets/mine.py:Net"
    )
    width: Annotated[int, Field(ge=1, le=MAX_WIDTH)] | None = Field(
        default=None,
        description="channels of the stem and the first stage of Small ResNets, doubled at each later stage",
        validate_default=True,
    )
    seeds: Annotated[tuple[Seed, ...], *UNIQUE] = Field(description="seeds of the networks: one network for each")
    training: Training | None = Field(default=None, description="how networks of the recipe `trained` are trained")

    @field_validator("architectures")
    @classmethod
    def _names_differ(cls, values: tuple[Architecture, ...]) -> tuple[Architecture, ...]:
        names = [value.name for value in values]
        found = []
        for index, name in enumerate(names):
            if (first := names.index(name)) < index:
                same = values[first] == values[index]
                reason = "list each once" if same else "give one of them a name of its own"
                found.append(((index,), f"repeats architectures[{first}] ({name}): {reason}"))
        if found:
            raise mistake(*found)
        return values

    @field_validator("width")
    @classmethod
    def _where_it_is_needed(cls, value: int | None, info: ValidationInfo) -> int | None:
        architectures = info.data.get("architectures", ())
        small = [one.name for one in architectures if one.is_small_resnet and "width" not in one.arguments]
        if value is None and small:
            raise mistake(((), f"missing key: the width of {small[0]}, channels of its first stage"))
        return value

    def complete(self, name: str) -> Architecture:
        """The architecture with this name, completed by the common settings: training, and a Small ResNet's width.

        Raises:
            ModelstitchError: if there is no such architecture.
        """
        found = next((one for one in self.architectures if one.name == name), None)
        if found is None:
            names = [one.name for one in self.architectures]
            raise ModelstitchError(
                f"{name} is no architecture of the study: expected one of {', '.join(names)}{nearest(name, names)}"
            )
        own = {"width": self.width} if found.is_small_resnet else {}
        changes = {"arguments": own | found.arguments, "training": found.training or self.training}
        return found.model_copy(update=changes)

    def seeds_of(self, architecture: Architecture) -> tuple[int, ...]:
        """The seeds of an architecture."""
        return architecture.seeds or self.seeds
