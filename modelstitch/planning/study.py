"""A study for planning: descriptions of its networks, its data set's sizes, and the work of each pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from modelstitch.config.families import LINEAR, Family
from modelstitch.config.stitches import IMAGE, StitchSettings, chosen_layers, section_of
from modelstitch.config.study import Study
from modelstitch.data.datasets import Sizes
from modelstitch.errors import ModelstitchError
from modelstitch.fitting.work import PairWork
from modelstitch.identifiers import NetworkId
from modelstitch.networks.description import Description

# Of sources that are known before they are read; an image folder is taken for one of CIFAR's size.
SIZES = {
    "digits": Sizes((1, 32, 32), 1437, 360, 10),
    "photo-digits": Sizes((3, 32, 32), 4311, 720, 10),
    "cifar10": Sizes((3, 32, 32), 50_000, 10_000, 10),
    "cifar100": Sizes((3, 32, 32), 50_000, 10_000, 100),
    "svhn": Sizes((3, 32, 32), 73_257, 26_032, 10),
    "mnist": Sizes((1, 28, 28), 60_000, 10_000, 10),
    "fashion-mnist": Sizes((1, 28, 28), 60_000, 10_000, 10),
    "stl10": Sizes((3, 96, 96), 5_000, 8_000, 10),
    "imagefolder": Sizes((3, 32, 32), 50_000, 10_000, 100),
}


@dataclass(frozen=True)
class PlannedStudy:
    """A study, and what planning knows of its data set and networks.

    Attributes:
        study: the study file.
        sizes: the data set's sizes, read from it or assumed from its source.
        descriptions: a description of each architecture, by its name.
    """

    study: Study
    sizes: Sizes
    descriptions: Mapping[str, Description]

    @cached_property
    def settings(self) -> dict[str, StitchSettings]:
        """Settings of the stitches of each objective, by its name."""
        return self.study.stitches.objectives()

    @cached_property
    def representatives(self) -> dict[str, str]:
        """For each architecture's name the first whose networks and training steps take the same time.

        They have one description, and one optimiser, batch, augmentation and precision, as controls often do.
        """
        first: dict[tuple, str] = {}
        found = {}
        for name, description in self.descriptions.items():
            training = self.study.networks.complete(name).training
            steps = training and (training.optimiser, training.batch, training.augmentation, training.precision)
            found[name] = first.setdefault((description, steps), name)
        return found

    def layers(self, network: str | NetworkId) -> int:
        """The number of layers of a network."""
        return len(self.description(network).layers)

    def description(self, network: str | NetworkId) -> Description:
        """The description of a network's architecture."""
        return self.descriptions[NetworkId.parse(str(network)).architecture]

    def sender_layers(self, objective: str, sender: str | NetworkId) -> list[int]:
        """Layers of the sender that are stitched, in ascending order: the rows of its matrices."""
        if objective == IMAGE:
            return [-1]
        return chosen_layers(self.settings[objective].sender_layers, self.layers(sender))

    def receiver_layers(self, objective: str, receiver: str | NetworkId) -> list[int]:
        """Layers of the receiver that stitches stand for, in ascending order: the columns of its matrices."""
        return chosen_layers(self.settings[objective].receiver_layers, self.layers(receiver))

    def work(
        self,
        sender: str | NetworkId,
        receiver: str | NetworkId,
        sender_layers: Sequence[int],
        receiver_layers: Sequence[int],
        family: Family = LINEAR,
    ) -> PairWork:
        """The work of some cells of a pair, with stitches of a family."""
        recipes = (NetworkId.parse(str(network)).recipe for network in (sender, receiver))
        networks = (self.description(network) for network in (sender, receiver))
        return PairWork(*networks, *recipes, sender_layers, receiver_layers, family)

    def with_task(self, settings: StitchSettings) -> "PlannedStudy":
        """The same study with other settings for the stitches of the task."""
        stitches = self.study.stitches.model_copy(update={"task": settings})
        return replace(self, study=self.study.model_copy(update={"stitches": stitches}))

    def check_layers(self, source: str) -> None:
        """Refuse layers that an architecture does not have.

        Args:
            source: the study file's name, for the errors.

        Raises:
            ModelstitchError: one line for each such layer.
        """
        name = min(self.descriptions, key=lambda name: len(self.descriptions[name].layers))
        count = len(self.descriptions[name].layers)
        problems = [
            f"{source}: stitches.{objective}.{key}[{index}]: no layer {layer} in {name}: it has {count} layers, "
            f"0 to {count - 1}"
            for objective, settings in self.settings.items()
            if section_of(objective) == objective
            for key in ("sender_layers", "receiver_layers")
            if getattr(settings, key) != "all"
            for index, layer in enumerate(getattr(settings, key))
            if layer >= count
        ]
        if problems:
            raise ModelstitchError("\n".join(problems))
