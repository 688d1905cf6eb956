"""Bytes that a study will take are those of its files."""

import numpy as np
import pytest

from modelstitch import records
from modelstitch.config.families import Family
from modelstitch.config.section import read
from modelstitch.data import datasets
from modelstitch.data.datasets import Sizes, Split
from modelstitch.fitting.pair import layers_of
from modelstitch.identifiers import NetworkId
from modelstitch.networks import making, weights
from modelstitch.planning import disk
from modelstitch.records import Column, PairRecord
from modelstitch.stitches import files
from modelstitch.stitches.families import family_of, geometry_of
from modelstitch.stitches.families.linear import initialise
from modelstitch.stitches.geometry import geometries
from tests.planning.plans import planned, study_of

SIZES = Sizes((3, 16, 16), 500, 1000, 10)
PAIR = ("R1111_trained_s0", "R1122_trained_s0")
LAYERS = (range(5), range(7))


@pytest.fixture(scope="module")
def plan():
    return planned(study_of("cifar10-laptop"), SIZES)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A data set of those sizes, and where it is written."""
    generator = np.random.default_rng(0)
    splits = [
        Split(generator.integers(256, size=(count, *SIZES.image), dtype=np.uint8), generator.integers(10, size=count))
        for count in (SIZES.train_images, SIZES.test_images)
    ]
    path = tmp_path_factory.mktemp("noise") / "dataset.h5"
    datasets.write(path, "noise", *splits, tuple("0123456789"))
    return path


@pytest.fixture(scope="module")
def networks(plan, noise):
    """The two networks, as a job makes them."""
    ids = (NetworkId.parse(name)._replace(recipe="random") for name in PAIR)
    dataset = datasets.read(noise)
    return [making.initialise(one, plan.study.networks.complete(one.architecture), dataset, 0) for one in ids]


def near(expected, path):
    assert expected == pytest.approx(path.stat().st_size, rel=0.15)


def test_bytes_of_a_data_set_are_those_of_its_file(plan, noise):
    near(disk.dataset(plan), noise)


def test_bytes_of_a_network_are_those_of_its_file(plan, networks, tmp_path):
    for name, network in zip(PAIR, networks, strict=True):
        weights.save(tmp_path / name, network)
        near(disk.network(plan, name), tmp_path / name)


def test_bytes_of_a_record_are_those_of_its_file(plan, networks, tmp_path):
    generator = np.random.default_rng(0)
    columns = tuple(
        Column(
            receiver_layer=layer,
            sender_layers=tuple(LAYERS[0]),
            **dict.fromkeys(("test_accuracy", "test_loss", "agreement"), np.zeros(5)),
            **dict.fromkeys(("train_accuracy", "train_loss"), np.zeros((5, 1))),
            test_images=SIZES.test_images,
            predictions=generator.integers(10, size=(5, SIZES.test_images)).astype(np.uint8),
            diverged=np.zeros(5, bool),
            reason=("",) * 5,
        )
        for layer in LAYERS[1]
    )
    attributes = dict.fromkeys(records.IDENTITY, "")
    records.write(tmp_path / "record", PairRecord(attributes, *map(layers_of, networks), columns))
    near(disk.record(plan, *LAYERS), tmp_path / "record")


def test_bytes_of_stitches_are_those_of_their_file(plan, networks, tmp_path):
    shapes = [dict(enumerate(layer.representation for layer in network.layers)) for network in networks]
    stitches = {cell: initialise(geometry, seed=0) for cell, geometry in geometries(*shapes, *LAYERS).items()}
    files.write(tmp_path / "stitches", stitches, "linear", dict.fromkeys(files.PAIR, "x" * 32))
    near(disk.stitches(plan, *PAIR, *LAYERS), tmp_path / "stitches")


@pytest.mark.parametrize("values", [{"name": "low-rank", "rank": 3}, {"name": "permutation"}, {"name": "orthogonal"}])
def test_bytes_of_stitches_are_those_of_their_file_whatever_the_family(plan, networks, tmp_path, values):
    family = read(Family, values)
    shapes = [dict(enumerate(layer.representation for layer in network.layers)) for network in networks]
    cells = geometries(*shapes, *LAYERS, geometry_of(family))
    begun = {cell: family_of(family.name).initialise(geometry, 0, family) for cell, geometry in cells.items()}
    files.write(tmp_path / "stitches", begun, family.name, dict.fromkeys(files.PAIR, "x" * 32))
    near(disk.stitches(plan, *PAIR, *LAYERS, family), tmp_path / "stitches")


def test_bytes_of_tables_and_figures_grow_with_cells_pairs_and_formats():
    plans = {count: planned(study_of("config", figures={"formats": ["png", "pdf", "svg"][:count]})) for count in (1, 3)}
    figures = disk.tables(plans[1], 10, 0)
    assert (disk.tables(plans[3], 10, 0), disk.tables(plans[1], 30, 0)) == (3 * figures, 3 * figures)
    assert disk.tables(plans[1], 10, 250) - figures == disk.tables(plans[3], 10, 250) - 3 * figures > 0
