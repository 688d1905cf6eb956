"""A study file, complete in itself: which networks are stitched, how, and what is drawn.

Every key is required but for those of an architecture, those that narrow `pairs`, a stitch's `family`, `start`,
`repeats` and `pairs`, and the `width` and `titles` of figures. `load_study` checks a whole file and names every
problem in it.
"""

import json
import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, islice, product, starmap
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from modelstitch.config.dataset import Dataset
from modelstitch.config.measures import Measures
from modelstitch.config.messages import lines, mistake, nearest
from modelstitch.config.networks import Networks
from modelstitch.config.pairs import PairRecipes, Pairs
from modelstitch.config.section import UNIQUE, Section, Seed
from modelstitch.config.stitches import Stitches
from modelstitch.errors import ModelstitchError, printable
from modelstitch.files import replacing
from modelstitch.identifiers import RECIPES, NetworkId, PairIds

ROLES = ("sender", "receiver")
LARGEST = 10**18  # of any number in a study; 64 bits hold it
LARGE_STUDY = 5000  # matrices: more of them have tables in parts, and no figures of single pairs unless asked for


def _check_colormap(value: str) -> str:
    import matplotlib  # only where a study is checked: jobs that read another section start without it

    if value not in matplotlib.colormaps:
        hint = nearest(value, matplotlib.colormaps) or " (viridis, magma, cividis, ...)"
        raise mistake(((), f"{value!r} is not a colormap of matplotlib{hint}"))
    return value


class Figures(Section):
    """How figures are drawn: a change redraws them and re-runs nothing else."""

    colormap: Annotated[str, AfterValidator(_check_colormap)] = Field(description="a colormap of matplotlib")
    formats: Annotated[tuple[Literal["png", "pdf", "svg"], ...], *UNIQUE] = Field(
        description="files drawn for each figure; png is required, the report shows it"
    )
    width: Literal["natural", "column", "two-columns"] = Field(
        default="natural",
        description="of every figure: its own, or exactly one (3.3 in) or two columns (6.8 in) of a paper",
    )
    titles: bool = Field(default=True, description="false leaves titles out, where captions follow")

    pairs: bool | None = Field(
        default=None,
        description=f"whether every pair has a figure of its own; null: in studies of up to {LARGE_STUDY} matrices",
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
        description="receiver layers per job; null is one job per pair"
    )
    threads: int = Field(ge=1, description="processor cores per job of training or stitching")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto takes a GPU where there is one")


class Study(Section):
    """A study of modelstitch."""

    study: str = Field(
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the study's folder in results/: letters, digits, '-', '_' and '.', at most 100",
    )
    seed: Seed = Field(description="seed of the whole study; every other random number is drawn from it and from names")
    dataset: Dataset = Field(description="the images")
    networks: Networks = Field(description="the family of networks")
    pairs: Pairs = Field(description="which networks are stitched to which; only networks that these name are made")
    stitches: Stitches = Field(description="how stitches are trained, one section per objective")
    measures: Measures = Field(description="what else is measured; {} is nothing")
    figures: Figures = Field(description="how figures are drawn")
    jobs: Jobs = Field(description="how the work is cut and run; a change re-runs nothing")

    @field_validator("pairs")
    @classmethod
    def _training_is_known(cls, pairs: tuple[PairRecipes, ...], info: ValidationInfo) -> tuple[PairRecipes, ...]:
        networks = info.data.get("networks")
        untold = [] if networks is None else [one.name for one in networks.architectures if not one.training]
        if untold and networks.training is None:
            for index, pair in enumerate(pairs):
                for role, recipe in zip(ROLES, pair.recipes, strict=True):
                    if recipe == "trained":
                        reason = f"trained needs networks.training, or the training of {untold[0]}: missing"
                        raise mistake(((index, role), reason))
        return pairs

    @field_validator("pairs")
    @classmethod
    def _weights_are_known(cls, pairs: tuple[PairRecipes, ...], info: ValidationInfo) -> tuple[PairRecipes, ...]:
        networks = info.data.get("networks")
        if networks is None or any(one.weights for one in networks.architectures):
            return pairs
        mistakes = [
            ((index, role), "pretrained: no architecture has weights: expected networks.architectures[...].weights")
            for index, pair in enumerate(pairs)
            for role, recipe in zip(ROLES, pair.recipes, strict=True)
            if recipe == "pretrained"
        ]
        if mistakes:
            raise mistake(*mistakes)
        return pairs

    @field_validator("pairs")
    @classmethod
    def _join_networks(cls, pairs: tuple[PairRecipes, ...], info: ValidationInfo) -> tuple[PairRecipes, ...]:
        if "networks" in info.data and (mistakes := list(_of_no_network(info.data["networks"], pairs))):
            raise mistake(*mistakes)
        return pairs

    @field_validator("stitches")
    @classmethod
    def _pairs_of_the_study(cls, stitches: Stitches, info: ValidationInfo) -> Stitches:
        if not {"networks", "pairs"} <= info.data.keys():
            return stitches
        networks = info.data["networks"]
        mistakes = []
        for name, section in stitches:
            pairs = (section and section.pairs) or ()
            found = list(_of_no_network(networks, pairs)) or [
                ((index,), f"{pair.sender} → {pair.receiver} is not among the study's `pairs`")
                for index, pair in enumerate(pairs)
                if not any(_joined(networks, info.data["pairs"], (pair,)))
            ]
            mistakes += [((name, "pairs", *at), text) for at, text in found]
        if mistakes:
            raise mistake(*mistakes)
        return stitches

    @field_validator("measures")
    @classmethod
    def _predictors_of_the_task(cls, measures: Measures, info: ValidationInfo) -> Measures:
        stitches = info.data.get("stitches")
        if measures.predictors and stitches is not None and stitches.task is None:
            raise mistake((("predictors",), "expected stitches.task, whose cells it explains, or no predictors"))
        return measures

    @field_validator("measures")
    @classmethod
    def _measured_pairs(cls, measures: Measures, info: ValidationInfo) -> Measures:
        """Check that measures name pairs that the study makes, for objectives that it has."""
        named = {name: section.pairs for name, section in measures if hasattr(section, "pairs")}
        if not named or not {"networks", "pairs", "stitches"} <= info.data.keys():
            return measures
        if info.data["stitches"].task is None:
            raise mistake(*(((name,), "expected stitches.task, which it follows, or none of it") for name in named))
        joined = _joined(info.data["networks"], info.data["pairs"], info.data["stitches"].task.pairs)
        known = {(str(sender), str(receiver)) for sender, receiver in joined}
        names = sorted({name for pair in known for name in pair})
        mistakes = []
        for measure, index, pair in ((name, *each) for name, pairs in named.items() for each in enumerate(pairs)):
            unknown = [(role, name) for role, name in pair if name not in names]
            for role, name in unknown:
                text = (
                    f"{name!r} is not a network of the study: expected one of {', '.join(names)}{nearest(name, names)}"
                )
                mistakes.append(((measure, "pairs", index, role), text))
            if not unknown and (pair.sender, pair.receiver) not in known:
                text = f"{pair.sender} → {pair.receiver} is not stitched for the task: see `pairs`"
                mistakes.append(((measure, "pairs", index), text))
        if mistakes:
            raise mistake(*mistakes)
        return measures

    @field_validator("measures")
    @classmethod
    def _verdicts_have_a_reference(cls, measures: Measures, info: ValidationInfo) -> Measures:
        """Check that at least two seeds of the reference are stitched for the task."""
        if measures.verdicts is None or not {"networks", "pairs", "stitches"} <= info.data.keys():
            return measures
        networks, name = info.data["networks"], measures.verdicts.reference
        seeds = {one.name: networks.seeds_of(one) for one in networks.architectures}
        places = {("reference",): name} | {("alike", at): one for at, one in enumerate(measures.verdicts.alike or ())}
        mistakes = [
            (
                ("verdicts", *place),
                f"{one!r} is not an architecture of the study: expected one of {', '.join(seeds)}{nearest(one, seeds)}",
            )
            for place, one in places.items()
            if one not in seeds
        ]
        if mistakes:
            raise mistake(*mistakes)
        if len(seeds[name]) < 2:
            raise mistake((("verdicts", "reference"), f"{name} has one seed: expected two, whose networks are alike"))
        if info.data["stitches"].task is None:
            raise mistake((("verdicts",), "expected stitches.task, which it judges, or no verdicts"))
        of_reference = {NetworkId(name, "trained", seed) for seed in seeds[name]}
        joined = _joined(networks, info.data["pairs"], info.data["stitches"].task.pairs)
        if not any(one != other and {one, other} <= of_reference for one, other in joined):
            text = f"no two trained networks of {name} are stitched for the task: see `pairs`"
            raise mistake((("verdicts", "reference"), text))
        return measures

    def objectives(self) -> list[str]:
        """Names of the objectives."""
        return list(self.stitches.objectives())

    def networks_needed(self) -> list[NetworkId]:
        """Every network that is in a pair, once, by recipe, architecture and seed."""
        named = {network for pair in self.ordered_pairs() for network in pair}
        return [network for recipe in RECIPES for network in _family(self.networks, recipe) if network in named]

    def recipes(self, objective: str) -> list[tuple[str, str]]:
        """Recipes of sender and receiver in an objective's pairs, in the order of `pairs`."""
        chosen = self.stitches.objectives()[objective].pairs
        return list(dict.fromkeys(pair.recipes for pair in self.pairs if any(_joined(self.networks, (pair,), chosen))))

    def ordered_pairs(self, objective: str | None = None) -> list[PairIds]:
        """Every ordered pair of networks, in the order of `pairs`, then of senders, then of receivers.

        Args:
            objective: the objective of the pairs; None for all pairs of the study.
        """
        chosen = self.stitches.objectives()[objective].pairs if objective else None
        return list(_joined(self.networks, self.pairs, chosen))

    def stitches_pair(self, objective: str, sender: NetworkId, receiver: NetworkId) -> bool:
        """Whether two networks of the study are stitched for an objective."""
        settings = self.stitches.objectives().get(objective)
        chosen = [self.pairs] + ([] if settings is None or settings.pairs is None else [settings.pairs])
        return settings is not None and all(any(pair.joins(sender, receiver) for pair in pairs) for pairs in chosen)

    @property
    def is_large(self) -> bool:
        """Whether the study has more than `LARGE_STUDY` matrices."""
        every = (_joined(self.networks, self.pairs, one.pairs) for one in self.stitches.objectives().values())
        return any(True for _ in islice(chain.from_iterable(every), LARGE_STUDY, None))

    def stitched_pairs(self) -> list[tuple[str, PairIds]]:
        """Every objective with each of its ordered pairs."""
        return [(objective, pair) for objective in self.objectives() for pair in self.ordered_pairs(objective)]


def _joined(networks: Networks, pairs: Pairs, chosen: Pairs | None = None) -> Iterator[PairIds]:
    """Every pair of networks in a study's `pairs`, once and in order; only `chosen` pairs if any are chosen."""
    seen = set()
    for pair in pairs:
        for ids in starmap(PairIds, product(_family(networks, pair.sender), _family(networks, pair.receiver))):
            if pair.joins(*ids) and ids not in seen and (chosen is None or any(one.joins(*ids) for one in chosen)):
                seen.add(ids)
                yield ids


def _of_no_network(networks: Networks, pairs: Pairs) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Places in `pairs` that name an architecture without a network of their recipe, and what is wrong."""
    for index, pair in enumerate(pairs):
        for key, recipe in zip(("senders", "receivers"), pair.recipes, strict=True):
            known = {network.architecture: None for network in _family(networks, recipe)}
            for place, name in enumerate(getattr(pair, key) or ()):
                if name not in known:
                    text = f"{name!r} is no {recipe} network of the study: expected one of {', '.join(known)}"
                    yield (index, key, place), text + nearest(name, known)


def _family(networks: Networks, recipe: str) -> list[NetworkId]:
    """Every network of a recipe; for `pretrained`, of the architectures with weights."""
    return [
        NetworkId(architecture.name, recipe, seed)
        for architecture in networks.architectures
        if recipe != "pretrained" or architecture.weights
        for seed in networks.seeds_of(architecture)
    ]


def load_study(values: Any, source: str) -> Study:
    """Check the values of a study file.

    Args:
        values: the values of the file, from a YAML parser.
        source: name of the file, for errors.

    Raises:
        ModelstitchError: one line for each problem, with the file, the key, the value and what was expected.
    """
    problems = list(_numbers_beyond(values, ""))
    try:
        study = None if problems else Study.model_validate(values)
    except ValidationError as error:
        problems = lines(error, Study, values)
    if problems:
        raise ModelstitchError("\n".join(f"{source}: {printable(problem)}" for problem in problems))
    return study


def _numbers_beyond(values: Any, place: str) -> Iterator[str]:
    """Problems with numbers that are too large for the libraries."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _numbers_beyond(value, f"{place}.{key}".removeprefix("."))
    elif isinstance(values, (list, tuple)):
        for index, value in enumerate(values):
            yield from _numbers_beyond(value, f"{place}[{index}]")
    elif isinstance(values, (int, float)) and LARGEST <= abs(values) < math.inf:
        shown = f"{Decimal(values):.2e}"
        yield f"{place}: {shown} is out of range: expected less than {Decimal(LARGEST):.0e}"


def write_schema(path: Path | str) -> None:
    """Write the JSON schema of a study, by which an editor completes and checks a study file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema()
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(schema, indent=2) + "\n")
