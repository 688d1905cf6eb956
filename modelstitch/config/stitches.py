"""How stitches are made: a section for each objective, in the variant of its protocol."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from modelstitch.config.families import FREE_MAPS, LINEAR, WITHOUT_CLOSED_FORM, Family
from modelstitch.config.messages import listed, mistake
from modelstitch.config.pairs import Pairs
from modelstitch.config.section import PRECISION, UNIQUE, Augmentation, Precision, Section, read

REMAPPED, DERANGED, IMAGE, MARKED = CONTROLS = ("remapped", "deranged", "image", "marked")  # trained as the task
STARTS = ("least-squares", "random")
Start = Literal[STARTS]


def _layers_tag(value: object) -> str | None:
    if isinstance(value, (list, tuple)):
        return "list"
    return "all" if value == "all" else None


Layers = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[tuple[Annotated[int, Field(ge=0)], ...], *UNIQUE, Tag("list")],
    Discriminator(
        _layers_tag, custom_error_type="layers", custom_error_message="expected all, or a list of layers (write [0, 2])"
    ),
]


class StitchSettings(Section):
    """What stitches of every objective and protocol need."""

    family: Family = Field(default=LINEAR, description="what a stitch can express")
    precision: Precision = Field(description=PRECISION)
    sender_layers: Layers = Field(description="rows of the matrix: all, or a list of layers; 0 is the first")
    receiver_layers: Layers = Field(description="columns of the matrix: all, or a list of layers; 0 is the first")
    keep_stitches: bool = Field(description="keep the trained stitches beside each pair's record")
    pairs: Pairs | None = Field(default=None, description="which of the study's pairs; null is all")

    def plain(self) -> dict[str, Any]:
        """Plain values of all that a stitch depends on, for jobs and records, which other stitches are not."""
        return self.model_dump(mode="json", exclude={"pairs", "repeats"})


class TrainedStitches(StitchSettings):
    """What every protocol that takes steps needs."""

    epochs: float = Field(gt=0, description="passes over the training images; 0.25 is a quarter of them")
    batch: int = Field(ge=1, description="images per step")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    augmentation: Augmentation = Field(description="random changes of the training images")
    repeats: int = Field(
        default=1, ge=1, description="how often each stitch is trained, from other seeds, one objective per repetition"
    )


class PaperStitches(TrainedStitches):
    """The protocol of arXiv 2303.11277: random start, SGD with momentum, linear warm-up, then cosine to 0."""

    protocol: Literal["paper"] = Field(description="how a stitch is trained")
    momentum: float = Field(ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(ge=0, description="weight decay of SGD (L2, times the learning rate)")
    warmup_epochs: float = Field(
        ge=0, description="epochs of linear warm-up; where longer than `epochs`, the rate never reaches its peak"
    )
    start: Start = Field(
        default="random", description="random, or least-squares; random for similarity, whose solution is least squares"
    )


class FastStitches(TrainedStitches):
    """The converged matrix for less: least-squares start, soft targets, Muon as if senders were whitened."""

    protocol: Literal["fast"] = Field(description="how a stitch is trained")
    learning_rate: float = Field(
        gt=0,
        description="how far the first step moves what a stitch gives, in standard deviations of what it should give; "
        "up to ten times as far where the receiver guesses",
    )
    statistics_images: int = Field(
        ge=1,
        description="training images for least squares, whitening and soft targets; all where there are fewer",
    )
    start: Start = Field(default="least-squares", description="least-squares, or random")

    @field_validator("family")
    @classmethod
    def _free_maps(cls, family: Family) -> Family:
        if not isinstance(family, FREE_MAPS):
            names = listed([name for kind in FREE_MAPS for name in get_args(kind.model_fields["name"].annotation)])
            raise mistake((("name",), f"{family.name}: fast moves {names}: expected one of them, or protocol adam"))
        return family


class AdamStitches(TrainedStitches):
    """AdamW, with a rate that falls by a cosine to 0: what most publications after the paper take, for any family."""

    protocol: Literal["adam"] = Field(description="how a stitch is trained")
    weight_decay: float = Field(ge=0, description="weight decay of AdamW (decoupled), not of vectors such as a bias")
    statistics_images: int = Field(
        ge=1, description="training images that a start by least squares is computed from; all where there are fewer"
    )
    start: Start = Field(
        default="random", description="random, or least-squares; random for similarity, whose solution is least squares"
    )


class LeastSquares(StitchSettings):
    """The stitch of least mean squared error to the expected representation, in closed form: one pass, no step."""

    protocol: Literal["least-squares"] = Field(description="how a stitch is trained")
    ridge: float = Field(
        ge=0, description="added to the covariance of what a stitch sees, as a share of its mean variance"
    )

    @field_validator("family")
    @classmethod
    def _closed_form(cls, family: Family) -> Family:
        if isinstance(family, WITHOUT_CLOSED_FORM):
            raise mistake((("name",), f"{family.name} has no closed form: expected protocol adam or paper"))
        return family


class Control(Section):
    """A control of the task, whose stitches are trained as `task` says."""

    pairs: Pairs | None = Field(description="which of the study's pairs; null is all")


class Remapped(Control):
    """Stitches trained on labels whose classes are exchanged, none left in its place."""

    permutations: int = Field(
        ge=1, description="how many ways of exchanging the classes, one objective per permutation"
    )


TaskStitches = Annotated[PaperStitches | FastStitches | AdamStitches, Field(discriminator="protocol")]
SimilarityStitches = Annotated[PaperStitches | LeastSquares | AdamStitches, Field(discriminator="protocol")]


class Stitches(Section):
    """One section for each objective that the study has: at least one."""

    task: TaskStitches | None = Field(
        default=None, description="cross-entropy through the receiver's frozen suffix: the paper's vanilla stitches"
    )
    similarity: SimilarityStitches | None = Field(
        default=None, description="mean squared error to the receiver's expected representation"
    )
    soft: TaskStitches | None = Field(
        default=None, description="cross-entropy to what the receiver predicts, through its suffix"
    )
    functional: TaskStitches | None = Field(
        default=None, description="relative error at the cut and at every later layer of the receiver"
    )
    penultimate: TaskStitches | None = Field(
        default=None, description="squared error at the receiver's last layer, through its suffix"
    )
    remapped: Remapped | None = Field(
        default=None,
        description="as the task, on labels whose classes are exchanged: accuracy that needs no similarity",
    )
    deranged: Control | None = Field(
        default=None, description="as the task, with another image for each label: accuracy that needs no image"
    )
    image: Control | None = Field(
        default=None, description="as the task, from the image itself: accuracy that needs no sender"
    )
    marked: Control | None = Field(
        default=None,
        description="as the task, on images with a dot that tells the class: accuracy from what no network knows",
    )

    @model_validator(mode="after")
    def _any(self) -> "Stitches":
        if not self.objectives():
            raise mistake(((), f"no objective: expected at least one of {', '.join(type(self).model_fields)}"))
        return self

    @model_validator(mode="after")
    def _controls_need_the_task(self) -> "Stitches":
        for name in CONTROLS:
            if getattr(self, name) and not self.task:
                raise mistake(((name,), f"expected stitches.task, as which it is trained, or no {name}"))
        return self

    @model_validator(mode="after")
    def _only_the_task_has_a_start(self) -> "Stitches":
        if isinstance(self.similarity, TrainedStitches) and self.similarity.start != "random":
            text = f"{self.similarity.start}: expected random: least squares is what stitches for similarity come to"
            raise mistake((("similarity", "start"), text))
        return self

    def objectives(self) -> dict[str, StitchSettings]:
        """The settings of each objective of the study, by its name.

        Each repetition is an objective (`task`, `task-2`, ...), and each permutation of remapped labels.
        """
        found = {}
        for kind, settings in self:
            if isinstance(settings, StitchSettings):
                repeats = settings.repeats if isinstance(settings, TrainedStitches) else 1
                found |= dict.fromkeys(_numbered(kind, repeats), settings)
        for control in CONTROLS:
            if section := getattr(self, control):
                settings = self.task.model_copy(update={"pairs": section.pairs})
                found |= dict.fromkeys(_numbered(control, getattr(section, "permutations", 1)), settings)
        return found


def _numbered(kind: str, count: int) -> list[str]:
    return [kind if number == 1 else f"{kind}-{number}" for number in range(1, count + 1)]


def objective_settings(objective: str, values: Any) -> StitchSettings:
    """The settings of one objective, from the plain values that a job gets."""
    section = section_of(objective)
    return getattr(read(Stitches, {section: values}), section)


def chosen_layers(layers: str | Sequence[int], count: int) -> list[int]:
    """The layers that a study names of a network with so many, in ascending order."""
    return list(range(count)) if layers == "all" else sorted(layers)


def kind_of(objective: str) -> str:
    """The objective without the number of its permutation or repetition: `remapped` for `remapped-2`."""
    return re.sub(r"-\d+$", "", objective)


def is_remapped(objective: str) -> bool:
    """Whether an objective is the task on remapped labels, by any permutation."""
    return kind_of(objective) == REMAPPED


def is_control(objective: str) -> bool:
    """Whether an objective is a control, with which others are compared."""
    return kind_of(objective) in CONTROLS


def is_measured(objective: str) -> bool:
    """Whether an objective's stitches are measured beyond accuracy; controls and repetitions are not."""
    return kind_of(objective) == objective and not is_control(objective)


def section_of(objective: str) -> str:
    """The section of `stitches` that says how an objective's stitches are trained."""
    return "task" if is_control(objective) else kind_of(objective)
