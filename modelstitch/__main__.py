"""The command line of the package, for what is no run of a study: `python -m modelstitch --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from modelstitch.config.messages import lines
from modelstitch.config.networks import Architecture
from modelstitch.errors import ModelstitchError

if TYPE_CHECKING:
    from modelstitch.networks.network import Network

SIZES = ((3, 32, 32), (3, 224, 224))  # of images, tried one after the other where none is given


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelstitch", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    layers = commands.add_parser("layers", help="list where a network can be cut")
    layers.add_argument("model", help="R1122, torchvision:vgg11_bn, timm:<name>, nets/mine.py:Net, or a network's file")
    layers.add_argument("--image", metavar="CxHxW", help="shape of an image: 3x32x32, or 3x224x224 where it needs that")
    layers.add_argument("--classes", type=int, default=10, help="how many; by default 10")
    layers.add_argument(
        "--arguments", default="{}", metavar="JSON", help='of the model: {"width": 8}, by default 64 in a Small ResNet'
    )
    layers.add_argument("--stem", choices=("own", "small"), default="own", help="small: for small images")
    layers.set_defaults(command=list_layers)
    provenance = commands.add_parser("provenance", help="say what made a file of a study")
    provenance.add_argument("file", help="results/<study>/tables/cells.csv, or any other result")
    provenance.set_defaults(command=tell_provenance)
    archive = commands.add_parser("archive", help="make a study one zip")
    archive.add_argument("study", help="results/<study>")
    archive.add_argument("file", nargs="?", help="the zip; by default <study>.zip")
    archive.set_defaults(command=archive_study)
    restore = commands.add_parser("restore", help="bring a study back from its zip, without a run of it")
    restore.add_argument("file", help="the zip")
    restore.set_defaults(command=restore_study)
    given = parser.parse_args(arguments)
    try:
        print(given.command(given))
    except ModelstitchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def list_layers(given: argparse.Namespace) -> str:
    """Print every cut of a network, one per line; those that are layers by default have an index.

    Raises:
        ModelstitchError: if it can't be built or cut.
    """
    network = _network(given)
    from modelstitch.networks.cutting import all_cuts

    layers = {cut.node: layer for cut, layer in zip(network.cuts, network.layers, strict=True)}
    reached, total = 0, sum(network.operations)
    rows = [("layer", "name", "shape", "kind", "operations")]
    shares = {}
    for (_, end), operations in zip(network.ends, network.operations, strict=True):
        reached += operations
        shares[end] = f"{reached / total:.0%}" if total else ""
    for cut in all_cuts(network.graph):
        layer, one = layers.get(cut.node), cut.representation
        kind = one.layout + (f", {one.extra} extra" if one.extra else "")
        first, name = (str(layer.index), layer.name) if layer else ("", cut.name)
        rows.append((first, name, " x ".join(map(str, one.shape)), kind, shares.get(cut.node, "")))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    image = " x ".join(map(str, network.image))
    return "\n".join(
        [
            *lines,
            "",
            f"{network.name}, images {image}: {len(layers)} layers by default, of {len(rows) - 1} places to cut.",
            "Others: list names under `layers` of the architecture in a study, or Network(module, layer_names=[...]).",
        ]
    )


def tell_provenance(given: argparse.Namespace) -> str:
    """Print what made a file of a study.

    Raises:
        ModelstitchError: if it is not known.
    """
    from modelstitch.sharing import account

    return account.describe(given.file)


def archive_study(given: argparse.Namespace) -> str:
    """Pack a study into one zip.

    Raises:
        ModelstitchError: if it can't be archived, or the zip not written.
    """
    from modelstitch.sharing import archive

    path = archive.write(given.study, given.file)
    return f"{path}: {path.stat().st_size:,} bytes"


def restore_study(given: argparse.Namespace) -> str:
    """Restore a study from its zip, below the working directory.

    Raises:
        ModelstitchError: if the zip is damaged or refused, or the study is there already.
    """
    from modelstitch.sharing import restoring

    return "\n".join(restoring.restore(given.file))


def _network(given: argparse.Namespace) -> Network:
    from modelstitch.networks.building import Blueprint, build, input_channels
    from modelstitch.networks.network import Network

    if given.model.endswith(".safetensors"):
        return Network.load(given.model)
    architecture = _architecture(given)

    def cut(channels: int, *size: int) -> Network:
        blueprint = Blueprint(architecture.model, given.classes, channels, architecture.arguments, given.stem)
        module = build(blueprint, seed=0)
        network = Network(module.eval(), architecture.name, image=(input_channels(module, channels), *size))
        _ = network.cuts
        return network

    if given.image:
        return cut(*_shape(given.image))
    small, large = SIZES
    with contextlib.suppress(ModelstitchError):
        return cut(*small)
    return cut(*large)


def _architecture(given: argparse.Namespace) -> Architecture:
    try:
        arguments = json.loads(given.arguments)
    except ValueError:
        raise ModelstitchError(f'--arguments {given.arguments}: expected JSON: {{"width": 8}}') from None
    try:
        architecture = Architecture(model=given.model, arguments=arguments)
    except ValidationError as error:
        raise ModelstitchError("; ".join(lines(error, Architecture, {"model": given.model}))) from None
    width = {"width": 64} if architecture.is_small_resnet else {}
    return architecture.model_copy(update={"arguments": width | architecture.arguments})


def _shape(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = map(int, text.split("x"))
    except ValueError:
        raise ModelstitchError(f"--image {text}: expected channels, height and width: 3x32x32") from None
    return channels, height, width


if __name__ == "__main__":
    sys.exit(main())
