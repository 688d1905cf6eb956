"""Does a stitch preserve the receiver's expected representation, or hack the receiver?

Accuracy alone can't tell (arXiv 2303.11277): a suffix may classify correctly representations that no image would give.
So three things are measured for each cell: how likely its representations are among the expected ones, how the suffix
reacts to their error, and whose mistakes the stitched network makes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from modelstitch.accuracy import correct
from modelstitch.config.measures import Hacking
from modelstitch.data.datasets import Dataset
from modelstitch.data.images import DeviceImages, drawn
from modelstitch.errors import ModelstitchError
from modelstitch.hardware import enough_memory, in_batches, prepare
from modelstitch.identifiers import NetworkId
from modelstitch.networks.evaluation import predict
from modelstitch.networks.frozen import FrozenNetwork, freeze
from modelstitch.networks.network import INPUT, Network
from modelstitch.networks.representations import Representation
from modelstitch.records import PairRecord
from modelstitch.seeds import seed_of
from modelstitch.stitches.families import on_device
from modelstitch.stitches.geometry import Cell

BATCH = 100
POOLED = 2  # pixels along each side of a map's features
PENALTY = 0.01  # inverse: a few thousand coefficients are fitted to as many representations
PAIR = ("objective", "sender", "receiver")
CELL = (*PAIR, "sender_layer", "sender_layer_name", "receiver_layer", "receiver_layer_name")
TYPICALITIES = ("mahalanobis", "neighbour_distance", "precision", "recall", "readout_accuracy")
RECIPE_COLUMNS = ("sender_recipe", "receiver_recipe")
COLUMNS = (
    *CELL,
    *RECIPE_COLUMNS,
    "accuracy",
    *(name for measure in TYPICALITIES for name in (measure, f"{measure}_expected")),
    "detection",
    "relative_error",
    "logits_relative_error",
    "amplification",
    "random_amplification",
    "kappa_receiver",
    "kappa_sender",
    "kappa_networks",
    "same_mistake_receiver",
    "same_mistake_sender",
    "same_mistake_networks",
)
SUFFIX_NUMBERS = ("relative_error", "random_relative_error", "cosine")
SUFFIX_COLUMNS = (*CELL, "layer", "layer_name", *SUFFIX_NUMBERS)


class Measured(NamedTuple):
    """One row per cell, with `COLUMNS`; and one row for each cell and stage of the suffix, with `SUFFIX_COLUMNS`."""

    cells: pd.DataFrame
    suffixes: pd.DataFrame


class Reference:
    """The distribution of a receiver layer's expected representations, estimated from some training images.

    Distances are Mahalanobis distances: along the principal axes of the covariance, in units of each axis's standard
    deviation. The covariance is estimated with shrinkage (Ledoit and Wolf 2004).

    Args:
        features: features of the images' expected representations, (N, D).
        labels: the images' classes (N,).
        neighbours: k of the nearest-neighbour measures, below N.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, neighbours: int) -> None:
        shrunk = LedoitWolf(store_precision=False).fit(features.astype(np.float64))
        variances, axes = np.linalg.eigh(shrunk.covariance_)
        self.mean, self.axes = shrunk.location_, axes / np.sqrt(variances)
        self.neighbours = neighbours
        self.whitened = self.whiten(features)
        self.radii = radii(self.whitened, neighbours)
        self.readout = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)

    def whiten(self, features: np.ndarray) -> np.ndarray:
        """Features (N, D) as deviations from the mean along the principal axes, in standard deviations."""
        return (features - self.mean) @ self.axes

    def typicality(self, features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """`TYPICALITIES` of features (N, D) of other images, with these classes (N,).

        Precision is the share of them that are closer to some expected feature than its k-th neighbour is. Recall is
        the share of expected features that are so close to one of them (arXiv 1904.06991).
        """
        whitened = self.whiten(features)
        between = euclidean_distances(whitened, self.whitened)
        return {
            "mahalanobis": np.square(whitened).mean(),
            "neighbour_distance": np.partition(between, self.neighbours - 1)[:, self.neighbours - 1].mean(),
            "precision": (between <= self.radii).any(axis=1).mean(),
            "recall": (between <= radii(whitened, self.neighbours)[:, None]).any(axis=0).mean(),
            "readout_accuracy": self.readout.score(features, labels),
        }

    def detection(self, stitched: np.ndarray, expected_test: np.ndarray, stitched_test: np.ndarray) -> float:
        """Area under the ROC curve, on test images, of a classifier that tells stitched from expected features (N, D).

        It is trained on the reference's own images (classifier two-sample test, arXiv 1610.06545). It sees each
        principal component and its absolute value, since a stitch of least squared error has the right means, but too
        little variance.
        """
        known, unknown = (
            np.concatenate([np.hstack([part, np.abs(part)]) for part in parts])
            for parts in (
                (self.whitened, self.whiten(stitched)),
                (self.whiten(expected_test), self.whiten(stitched_test)),
            )
        )
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))
        classifier.fit(known, np.repeat([0, 1], len(stitched)))
        return roc_auc_score(np.repeat([0, 1], len(stitched_test)), classifier.decision_function(unknown))


def radii(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance (N,) of each point (N, D) to the k-th nearest of the others."""
    between = euclidean_distances(points)
    np.fill_diagonal(between, np.inf)
    return np.partition(between, neighbours - 1)[:, neighbours - 1]


def divergence(
    receiver: FrozenNetwork, layer: int, stitched: Tensor, expected: list[Tensor], signs: Tensor
) -> np.ndarray:
    """How far the activations of the suffix after `layer` are from the expected ones, with stitched representations.

    The stitch's error is compared with a random error of the same size: the same error, with its sign flipped at random
    for each image and channel. This keeps its power in every channel and its spatial pattern, but not its direction.

    Args:
        receiver, layer: the suffix.
        stitched: representations (N, *shape) in place of the layer's output.
        expected: activations of the suffix with the expected representations, stage by stage (`FrozenNetwork.stages`).
        signs: 1 or -1 (N, C).

    Returns:
        (stages, 3), float64, sums over images: squared error, squared error after the random one, and cosine.
    """
    signs = receiver.shapes[layer].per_channel(signs)
    both = torch.cat([stitched, expected[0] + signs * (stitched - expected[0])])
    rows = []
    for stage, right in zip(receiver.stages(layer, both), expected, strict=True):
        values, right = stage.float(), right.float()
        errors = (values.unflatten(0, (2, -1)) - right).square().flatten(1).sum(dim=1, dtype=torch.float64)
        cosine = torch.cosine_similarity(values[: len(right)].flatten(1), right.flatten(1)).sum(dtype=torch.float64)
        rows.append(torch.cat([errors, cosine[None]]))
    return torch.stack(rows).cpu().numpy()


def divergences(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    stitches: Mapping[Cell, Any],
    images: DeviceImages,
    chosen: Tensor,
    seed: Sequence[object],
) -> dict[Cell, np.ndarray]:
    """For every cell (stages, 3): relative error, relative error after a random one of the same size, and mean cosine.

    Errors are relative to the variance of the expected activations about the mean of each channel, as in `distances`: a
    constant has an error of 1.
    """
    shapes = [*list(receiver.shapes.values())[1:], None]  # the logits last
    signs = {
        (i, j): random_signs((len(chosen), receiver.shapes[j].channels), seed_of(*seed, i, j)) for i, j in stitches
    }

    def measure(batch: slice) -> tuple[list[Tensor], dict[Cell, np.ndarray]]:
        inputs = images.scaled(chosen[batch])
        sent, expected = sender.representations(inputs), receiver.stages(INPUT, receiver.prepared(inputs))[1:]
        moments = [moments_of(values, shape) for values, shape in zip(expected, shapes, strict=True)]
        return moments, {
            (i, j): divergence(receiver, j, stitch(sent[i]), expected[j:], signs[i, j][batch].to(sent[i]))
            for (i, j), stitch in stitches.items()
        }

    sums = dict.fromkeys(stitches, 0.0)
    moments = [0.0] * len(shapes)
    for moments_of_batch, sums_of_batch in in_batches(measure, len(chosen), BATCH):
        moments = [total + values for total, values in zip(moments, moments_of_batch, strict=True)]
        sums = {cell: total + sums_of_batch[cell] for cell, total in sums.items()}
    variations = np.array([(squares - total.square() / count).sum().item() for count, total, squares in moments])
    variations[variations == 0] = np.nan
    return {
        (i, j): np.column_stack([total[:, :2] / variations[j:, None], total[:, 2] / len(chosen)])
        for (i, j), total in sums.items()
    }


def random_signs(shape: tuple[int, int], seed: int) -> Tensor:
    """Random signs, 1 or -1, int8."""
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) - 1


def moments_of(values: Tensor, shape: Representation | None) -> Tensor:
    """Count, sum and sum of squares of each channel's values: float64 (3, C), of (N, *shape) or of logits (N, C)."""
    shape = shape or Representation(values.shape[1], layout="vector")
    values = values.double()
    sums = shape.channel_sums(values)
    counts = torch.full_like(sums, values.numel() // shape.channels)
    return torch.stack([counts, sums, shape.channel_sums(values.square())])


def pooled_features(
    sender: FrozenNetwork,
    receiver: FrozenNetwork,
    stitches: Mapping[Cell, Any],
    images: DeviceImages,
    chosen: Tensor,
) -> dict[Cell | int, np.ndarray]:
    """Features (N, D) of the chosen images: of stitched representations by cell, and of expected ones by layer."""

    def measure(batch: slice) -> dict[Cell | int, np.ndarray]:
        inputs = images.scaled(chosen[batch])
        sent, expected = sender.representations(inputs), receiver.representations(inputs)
        found = {j: pooled(values, receiver.shapes[j]) for j, values in expected.items()}
        found |= {(i, j): pooled(stitch(sent[i]), receiver.shapes[j]) for (i, j), stitch in stitches.items()}
        return {key: values.cpu().numpy() for key, values in found.items()}

    parts = list(in_batches(measure, len(chosen), BATCH))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def pooled(values: Tensor, shape: Representation) -> Tensor:
    """Features (N, D) of representations (N, *shape): the means of each channel over four quadrants, and extra tokens.

    A side of the grid with a single place is not split.
    """
    grid, extra = shape.split(values.float())
    means = F.adaptive_avg_pool2d(grid, [min(side, POOLED) for side in shape.grid]).flatten(1)
    return means if extra is None else torch.cat((means, extra.flatten(1)), dim=1)


def error_consistency(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa between two networks' outcomes (N,): agreement beyond that of their accuracies (arXiv 2006.16736).

    1 means mistakes on the same images, 0 independent mistakes; NaN if both are always right, or always wrong.
    """
    agreement = (one == other).mean()
    by_chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan


def same_mistakes(one: np.ndarray, other: np.ndarray, labels: np.ndarray) -> float:
    """Of the images that both networks get wrong, the share with equal predictions; NaN if there are none."""
    wrong = (one != labels) & (other != labels)
    return (one == other)[wrong].mean() if wrong.any() else np.nan


def mistakes(classes: np.ndarray, sender: np.ndarray, receiver: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Whose mistakes a stitched network makes, and whether sender and receiver make the same; from predictions (N,)."""
    numbers = {}
    for name, one, other in (
        ("receiver", classes, receiver),
        ("sender", classes, sender),
        ("networks", sender, receiver),
    ):
        numbers[f"kappa_{name}"] = error_consistency(correct(one, labels), correct(other, labels))
        numbers[f"same_mistake_{name}"] = same_mistakes(one, other, labels)
    return numbers


def amplification(suffix: np.ndarray) -> dict[str, float]:
    """How much relative errors grow up to the logits, from the stages of a cell that `divergences` returns."""
    first, last = suffix[0, :2], suffix[-1, :2]
    own, random = np.divide(last, first, out=np.full(2, np.nan), where=first > 0)
    return {
        "relative_error": first[0],
        "logits_relative_error": last[0],
        "amplification": own,
        "random_amplification": random,
    }


@enough_memory("the networks' size")
@torch.no_grad()
def measure_pair(
    sender: Network,
    receiver: Network,
    dataset: Dataset,
    record: PairRecord,
    stitches: Mapping[Cell, Any],
    settings: Hacking,
    study_seed: int,
    precision: str = "float32",
    device: str = "cpu",
) -> Measured:
    """Every measure of every cell of a pair.

    Representations are those of training and test images that are drawn once per study; mistakes are those on the whole
    test set. A cell without a result has a row of NaN in the first table, and none in the second.

    Args:
        sender, receiver: the networks.
        dataset: the images.
        record: the pair's record, with accuracies and predictions.
        stitches: the stitches, by cell.
        settings: numbers of images and neighbours.
        study_seed: seed of the study.
        precision: precision of the stitches, as a study names it.
        device: device of the computation.

    Raises:
        ModelstitchError: if there are no more images than neighbours, the drawn ones are of one class, or the device
            has too little memory.
    """
    prepare(device)
    objective, *names = (record.attributes[key] for key in PAIR)
    image = tuple(dataset.train.images.shape[1:])
    frozen = [freeze(network.with_images(image), precision, device) for network in (sender, receiver)]
    train, test = (DeviceImages(dataset, split, device) for split in (dataset.train, dataset.test))
    chosen, chosen_test = (
        drawn(len(images), settings.images, seed_of(study_seed, "hacking", split))
        for split, images in (("train", train), ("test", test))
    )
    check(len(chosen), len(chosen_test), settings.neighbours, dataset.train.labels[chosen])
    stitches = on_device(stitches, device)
    with_result = {
        (i, column.receiver_layer): stitches[i, column.receiver_layer]
        for column in record.columns
        for i, result in zip(column.sender_layers, column.test_accuracy, strict=True)
        if not np.isnan(result)
    }
    seen = pooled_features(*frozen, with_result, train, chosen)
    tested = pooled_features(*frozen, with_result, test, chosen_test)
    suffixes = divergences(*frozen, with_result, test, chosen_test, (study_seed, objective, *names, "hacking"))
    labels = dataset.test.labels
    own = [predict(network, test).argmax(dim=1).cpu().numpy() for network in frozen]
    recipes = {f"{role}_recipe": NetworkId.parse(name).recipe for role, name in zip(PAIR[1:], names, strict=True)}
    rows, stages = [], []
    for column in record.columns:
        j = column.receiver_layer
        reference = Reference(seen[j], dataset.train.labels[chosen], settings.neighbours)
        baseline = reference.typicality(tested[j], labels[chosen_test])
        reached = [*((layer.index, layer.name) for layer in frozen[1].layers[j:]), ("logits", "logits")]
        for i, result, classes in zip(column.sender_layers, column.test_accuracy, column.predictions, strict=True):
            layers = (i, record.sender.name(i), j, record.receiver.name(j))
            cell = dict(zip(CELL, (objective, *names, *layers), strict=True))
            row = cell | recipes | {"accuracy": result}
            if (i, j) in with_result:
                row |= reference.typicality(tested[i, j], labels[chosen_test])
                row |= {f"{name}_expected": value for name, value in baseline.items()}
                row["detection"] = reference.detection(seen[i, j], tested[j], tested[i, j])
                row |= amplification(suffixes[i, j]) | mistakes(classes, *own, labels)
                stages += [
                    cell | {"layer": layer, "layer_name": name} | dict(zip(SUFFIX_NUMBERS, numbers, strict=True))
                    for (layer, name), numbers in zip(reached, suffixes[i, j], strict=True)
                ]
            rows.append(row)
    return Measured(pd.DataFrame(rows, columns=list(COLUMNS)), pd.DataFrame(stages, columns=list(SUFFIX_COLUMNS)))


def check(train_images: int, test_images: int, neighbours: int, labels: np.ndarray) -> None:
    """Refuse images with which the measures are not defined; `labels` are those of the training images.

    Raises:
        ModelstitchError: if they are no more than the neighbours, or of one class.
    """
    if (fewest := min(train_images, test_images)) <= neighbours:
        raise ModelstitchError(
            f"measures.hacking.neighbours: {neighbours} is too many: expected fewer than the {fewest} images"
        )
    if len(np.unique(labels)) < 2:
        raise ModelstitchError(
            f"measures.hacking.images: the {train_images} training images drawn are of one class: expected more images"
        )
