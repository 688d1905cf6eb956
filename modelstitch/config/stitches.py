"""How stitches are made: a section for each objective, in the variant of its protocol."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from modelstitch.config.families import FREE_MAPS, LINEAR, WITHOUT_CLOSED_FORM, Family
from modelstitch.config.messages import listed, mistake
from modelstitch.config.section import PRECISION, UNIQUE, Augmentation, Precision, Section, read

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


class TrainedStitches(StitchSettings):
    """What every protocol that takes steps needs."""

    epochs: float = Field(gt=0, description="passes over the training images; 0.25 is a quarter of them")
    batch: int = Field(ge=1, description="images per step")
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
    start: Start = Field(default="random", description="of stitches for the task: random, or least-squares")


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
    start: Start = Field(default="random", description="of stitches for the task: random, or least-squares")


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

    @model_validator(mode="after")
    def _any(self) -> "Stitches":
        if not self.objectives():
            raise mistake(((), f"no objective: expected at least one of {', '.join(type(self).model_fields)}"))
        return self

    @model_validator(mode="after")
    def _only_the_task_has_a_start(self) -> "Stitches":
        if isinstance(self.similarity, TrainedStitches) and self.similarity.start != "random":
            raise mistake((("similarity", "start"), f"{self.similarity.start}: only stitches for the task start so"))
        return self

    def objectives(self) -> dict[str, StitchSettings]:
        """The settings of each objective of the study, by its name."""
        return {name: settings for name, settings in self if settings is not None}


def objective_settings(objective: str, values: Any) -> StitchSettings:
    """The section of one objective from plain values, as a job gets it."""
    return getattr(read(Stitches, {objective: values}), objective)
