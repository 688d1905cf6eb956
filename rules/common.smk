"""The study that the config describes, its paths, and what every stage shares."""

import hashlib
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import yaml
from docutils.core import publish_doctree
from snakemake.persistence.file import FilePersistence
from snakemake.utils import update_config

from modelstitch.analysis.controls import OVER_REMAPPED
from modelstitch.config.families import label
from modelstitch.config.networks import LIBRARY
from modelstitch.config.stitches import IMAGE, REMAPPED, is_measured
from modelstitch.config.study import load_study
from modelstitch.config.text import check_file
from modelstitch.data import sources
from modelstitch.data.datasets import read_sizes
from modelstitch.errors import ModelstitchError, first_line
from modelstitch.fitting.objectives import module_name as objective_module
from modelstitch.fitting.protocols import module_name as protocol_module
from modelstitch.identifiers import ARCHITECTURE, NETWORK, RECIPES, NetworkId
from modelstitch.networks.sources import module_name as source_module
from modelstitch.planning import devices
from modelstitch.planning.contents import digest_of_file, digest_of_folder
from modelstitch.planning.describe import describe_all
from modelstitch.planning.fingerprint import fingerprint
from modelstitch.planning.study import SIZES, PlannedStudy
from modelstitch.stitches.families import module_name as family_module
from workflow_scripts import fork_server, scheduler


def typed(value):
    """Values of `--config` by their type: below the first level Snakemake leaves all of them text.

    `--config 'stitches={task: {epochs: 2}}'` gives `{"task": {"epochs": "2"}}`.
    """
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return yaml.safe_load(value) if isinstance(value, str) else value


def check_seed(told, given):
    """A seed of `--config` needs a study of its own: in the file's folder it would replace the results of another."""
    if "study" not in given and given.get("seed", told.get("seed")) != told.get("seed"):
        raise ModelstitchError(
            f"--config seed={given['seed']}: results/{told.get('study')} is for seed {told.get('seed')}, whose results "
            f"would be replaced: name a study too: --config seed={given['seed']} study={told.get('study')}-{given['seed']}"
        )


def say_what_the_run_will_say():
    """Of a GPU that is not here; not on a cluster, whose nodes may have one, and not in its jobs."""
    if workflow.is_main_process and LOCAL and DEVICE == "cuda":
        try:
            if not devices.may_have_gpu():
                raise ModelstitchError(devices.NO_GPU)
            from modelstitch.hardware import choose_device  # torch, whose import takes seconds

            choose_device(DEVICE)
        except ModelstitchError as error:
            print(f"{STUDY_NAME}: jobs.device: {error}", file=sys.stderr)


def read_study(source, files):
    """The study, or its mistakes on standard error and exit code 1: a traceback would help nobody to mend them."""
    try:
        given, told = typed(dict(workflow.config_settings.config)), {}
        for file in files:
            check_file(file, os.path.relpath(file))
            told |= yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        update_config(config, given)
        check_seed(told, given)
        return load_study(config, source)
    except ModelstitchError as error:
        sys.exit(str(error))
    except yaml.YAMLError as error:
        sys.exit(f"--config: {first_line(error)}: expected a value as in a study file")


def known_sizes():
    """Sizes of the images, and whether they are known (True) or assumed; a data set that can't be read ends Snakemake."""
    try:
        sizes = read_sizes(DATASET)
        return (sizes, True) if sizes else sources.glance(SOURCE) or (SIZES[SOURCE["source"]], False)
    except ModelstitchError as error:
        sys.exit(str(error))


def plan_study(source):
    """The study with its networks described, or what is wrong with them on standard error and exit code 1."""
    networks = STUDY.networks
    places = {
        f"{source}: networks.architectures[{index}]": networks.complete(architecture.name)
        for index, architecture in enumerate(networks.architectures)
    }
    code = fingerprint(
        modules=["modelstitch.planning.description_of", *(source_module(one.model) for one in places.values())]
    )
    try:
        if not DATASET.is_file():
            sources.check(SOURCE)
        plan = PlannedStudy(STUDY, IMAGE_SIZES, describe_all(places, IMAGE_SIZES, DESCRIPTIONS, code))
        plan.check_layers(source)
    except ModelstitchError as error:
        sys.exit(str(error))
    return plan


STUDY_FILES = workflow.overwrite_configfiles or workflow.configfiles
STUDY_NAME = ", ".join(os.path.relpath(file) for file in STUDY_FILES)
STUDY = read_study(STUDY_NAME, STUDY_FILES)
SOURCE = STUDY.dataset.model_dump(mode="json")
RESULTS = Path("results") / STUDY.study
DATASET = RESULTS / "data/dataset.h5"
NETWORKS = RESULTS / "networks"
DESCRIPTIONS = Path(".snakemake/modelstitch")
IMAGE_SIZES, SIZES_ARE_KNOWN = known_sizes()
# Of inputs whose times tell nothing: what results owe to them stands in `params` (`origin_of`).
IMAGES = ancient(DATASET)
PLAN = plan_study(STUDY_NAME)

SCRIPTS = CHECKOUT / "workflow_scripts"
# How work is run never re-runs it, so it is given as resources, not as params.
DEVICE = STUDY.jobs.device
LOCAL = workflow.resource_settings.nodes is None  # `workflow.local_exec` is always true when a Snakefile is read
GPUS = 1 if DEVICE == "cuda" or (DEVICE == "auto" and LOCAL and devices.may_have_gpu()) else 0
# Every job takes the first GPU, so one at a time, unless `--resources gpu=N` says that N fit into its memory.
if GPUS and LOCAL and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", GPUS)
say_what_the_run_will_say()
if workflow.is_main_process:
    scheduler.use()
    if LOCAL:
        fork_server.use(SCRIPTS)

OBJECTIVES = STUDY.objectives()
RECORD = RESULTS / "stitches/{objective}/{sender}/{receiver}.h5"
STITCHES = RESULTS / "stitches/{objective}/{sender}/{receiver}.safetensors"
BLOCK = RESULTS / "stitches/{objective}/{sender}/{receiver}.blocks/{block}"
# What tables and figures show: the task over remapped labels is no objective, but laid out as one.
SHOWN_RECIPES = {name: STUDY.recipes(name) for name in OBJECTIVES}
if REMAPPED in OBJECTIVES:
    SHOWN_RECIPES[OVER_REMAPPED] = SHOWN_RECIPES[REMAPPED]
# What is measured beside accuracy; controls and repetitions are there to be compared with.
COMPARED = [name for name in OBJECTIVES if is_measured(name)]
WITH_SPECTRA = [name for name in OBJECTIVES if name in COMPARED or name == REMAPPED]
KEEP_STITCHES = any(settings.keep_stitches for settings in PLAN.settings.values())
FORMATS = STUDY.figures.formats
# Tables with a row per cell are CSV, and of a large study folders with a Parquet file for each sender.
LARGE = STUDY.is_large
PAIRS_DRAWN = not LARGE if STUDY.figures.pairs is None else STUDY.figures.pairs
DRAWN = [*FORMATS, "txt"]  # each figure's caption beside it
PAPER = {"width": STUDY.figures.width, "titles": STUDY.figures.titles}
# What the measures leave behind, files and lists `of_study`: each of their rule files adds its own.
MEASURED = []


wildcard_constraints:
    network=NETWORK,
    sender=NETWORK,
    receiver=NETWORK,
    objective=r"[a-z]+(-\d+)?",


onstart:
    try:
        RESULTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=RESULTS) as file:
            file.write(bytes(65536))
    except OSError as error:
        sys.exit(f"{RESULTS}: can't be written ({error.strerror}): free space, or give write permission")
    tell_progress()


@cache
def code_of(*scripts, modules=()):
    """What the result owes to the code: a comment changes nothing, a changed stitch re-runs stitches."""
    return fingerprint(*(SCRIPTS / script for script in scripts), modules=modules)


def digest_of(items):
    """A short param that changes with a list: which pairs a table holds, say."""
    return hashlib.sha256("\n".join(map(str, items)).encode()).hexdigest()[:16]


def of_study(make):
    """A list of the whole study, as an input function: made once, and only by a run whose jobs ask for it.

    A job on a cluster reads the workflow again, and of 57,600 pairs most jobs need one.
    """
    made = cache(make)
    return lambda wildcards=None: made()


def digest_each(listed):
    """A param that changes with a list `of_study`."""
    digest = cache(lambda: digest_of(listed()))
    return lambda wildcards: digest()


@of_study
def pairs():
    return STUDY.ordered_pairs()


@of_study
def stitched():
    return STUDY.stitched_pairs()


@of_study
def stitches_measured():
    return [(objective, pair) for objective, pair in stitched() if objective in COMPARED]


def of_each_stitch(pattern):
    """A file of each pair and objective that is measured."""
    return of_study(
        lambda: [pattern.format(objective=objective, **pair._asdict()) for objective, pair in stitches_measured()]
    )


@of_study
def all_records():
    return [str(RECORD).format(objective=objective, **pair._asdict()) for objective, pair in stitched()]


@of_study
def kept_stitches():
    return [str(Path(record).with_suffix(".safetensors")) for record in all_records() if KEEP_STITCHES]


@of_study
def measured():
    return [file for one in MEASURED for file in (one() if callable(one) else [one])]


def is_stitched(objective, sender, receiver):
    """Whether two networks of the study are stitched for an objective."""
    return STUDY.stitches_pair(objective, *(NetworkId.parse(str(network)) for network in (sender, receiver)))


@cache
def architecture_of(network):
    """The architecture of a network, complete."""
    return STUDY.networks.complete(NetworkId.parse(network).architecture)


def own_file(architecture):
    """The Python file that a network of one's own is built by, which need not be there; "" for any other."""
    path = Path(architecture.model.rpartition(":")[0])
    return str(path) if path.suffix == ".py" else ""


def own_files():
    """Python files of all networks of one's own in the study."""
    named = (own_file(STUDY.networks.complete(one.name)) for one in STUDY.networks.architectures)
    return sorted(set(filter(None, named)))


def own_file_of(network):
    """Digest of the Python file that a network of one's own is built by; "" for any other."""
    path = own_file(architecture_of(network))
    return digest_of([Path(path).read_text()]) if path and Path(path).is_file() else ""


@cache
def origin_without_images():
    """What the data set owes to images that are not here, in a folder that came without them; None of any other.

    Nothing can be made of images that are gone, and the data set holds them all: what made it stands for them.
    """
    if SOURCE["source"] != "imagefolder" or Path(SOURCE["path"]).exists() or not DATASET.is_file():
        return None
    record = FilePersistence()._read_record(str(DATASET))
    params = (record.params if record else None) or []
    origins = [param[1:-1] for param in params if re.fullmatch("'[0-9a-f]{16}'", param)]
    return origins[0] if origins and repr(SOURCE) in params else None


def files_of_images():
    """What the data set is made of: nothing where it came without, or a mistake."""
    if origin_without_images():
        return []
    try:
        sources.check(SOURCE)
    except ModelstitchError as error:
        sys.exit(str(error))
    return sources.input_files(SOURCE)


@cache
def origin_of_images():
    """What the data set owes to the study, to its files and to the code."""
    if origin := origin_without_images():
        return origin
    archives = sources.input_files(SOURCE) if SOURCE["source"] == "imagefolder" else []
    try:
        contents = [digest_of_file(file, DESCRIPTIONS) for file in archives]
        if names := sources.files_of_folder(SOURCE):
            contents.append(digest_of_folder(SOURCE["path"], names, DESCRIPTIONS))
    except ModelstitchError as error:
        sys.exit(str(error))
    return digest_of([SOURCE, *contents, code_of("prepare_dataset.py")])


@cache
def origin_of(network):
    """What a network owes to the study, to files and to the code: what is made of it has this among its `params`.

    By this, and not by times, results follow their network and their images: a copy has other times.
    """
    script, *parts = {
        "trained": ("train_network.py", "training"),
        "pretrained": ("import_network.py", "weights", "classes"),
    }.get(NetworkId.parse(network).recipe, ("initialise_network.py",))
    wildcards = SimpleNamespace(network=network)
    files = weights_of(wildcards) if "weights" in parts else []
    weights = [digest_of_file(file, DESCRIPTIONS) for file in files]
    code = code_of(script, modules=(source_module(architecture_of(network).model),))
    architecture = part_of_architecture(*parts)(wildcards)
    return digest_of([origin_of_images(), architecture, own_file_of(network), *weights, STUDY.seed, code])


@cache
def is_current(file, origin):
    """Whether a data set or a network is there that has this origin, as far as Snakemake recorded what made it."""
    record = workflow.persistence._read_record(str(file))
    return file.exists() and (record is None or record.params is None or repr(origin) in record.params)


def made_of(output, *networks):
    """The data set and the networks that an output is made of, whose times make it stale no more than their loss does.

    A lost one is made again for what is new, and nothing else is made again with it: a finished output does without.
    Those that are made anew, being of another origin, are inputs as any: what would follow them is made anew with them.
    """

    def inputs(wildcards):
        settings = workflow.dag_settings
        forced = workflow.is_main_process and (settings.forceall or settings.forcetargets or settings.forcerun)
        finished = not forced and Path(str(output).format(**wildcards)).exists()
        origins = {"dataset": (DATASET, origin_of_images())}
        origins |= {one: (NETWORKS / f"{wildcards[one]}.safetensors", origin_of(wildcards[one])) for one in networks}
        found = {}
        for name, (file, origin) in origins.items():
            current = not forced and is_current(file, origin)
            found[name] = ancient(str(file)) if current else [] if finished and not file.exists() else str(file)
        return found

    return inputs


def code_of_network(script, network):
    code = code_of(script, modules=(source_module(architecture_of(network).model),))
    return digest_of([code, origin_of(network)])


def code_of_pair(*scripts, wildcards, objectives=None, modules=()):
    """Of a job that loads both networks, and finds what it fits by the names in the study.

    Objectives are by default that of the wildcards, none of a job without stitches.
    """
    architectures = (NetworkId.parse(wildcards[role]).architecture for role in ("sender", "receiver"))
    objectives = [wildcards.objective] if objectives is None else objectives
    code = code_of_stitches(scripts, tuple(architectures), tuple(objectives), tuple(modules))
    return with_networks(code, wildcards)


@cache
def code_of_stitches(scripts, architectures, objectives, modules):
    modules = {*modules, *(source_module(STUDY.networks.complete(name).model) for name in architectures)}
    for objective in objectives:
        settings = PLAN.settings[objective]
        modules |= {
            objective_module(objective),
            protocol_module(settings.protocol),
            family_module(settings.family.name),
        }
    return code_of(*scripts, modules=tuple(sorted(modules)))


def with_networks(code, wildcards):
    """What a pair's result owes to the code, and to its networks."""
    return digest_of([code, origin_of(wildcards.sender), origin_of(wildcards.receiver)])


def cuts_of(role):
    """Where a network is cut, by the names of its layers; null: at its blocks."""
    return lambda wildcards: architecture_of(wildcards[role]).layers and list(architecture_of(wildcards[role]).layers)


@cache
def settings_of_objective(objective):
    """What the stitches depend on; whether they are kept, and of which pairs others are made, is not part of it."""
    return PLAN.settings[objective].model_copy(update={"keep_stitches": False}).plain()


def settings_of(wildcards):
    return settings_of_objective(wildcards.objective)


def precision_of(wildcards):
    return PLAN.settings[wildcards.objective].precision


def objectives_of(wildcards):
    """What a pair is stitched for that is compared as maps: remapped labels too, which may be served by another one."""
    return [one for one in WITH_SPECTRA if is_stitched(one, wildcards.sender, wildcards.receiver)]


def stitches_of_pair(wildcards):
    """The stitches of a pair, by objective."""
    return {one: str(STITCHES).format(objective=one, **wildcards) for one in objectives_of(wildcards)}


def sender_layers(wildcards):
    return PLAN.sender_layers(wildcards.objective, wildcards.sender)


def receiver_layers(wildcards):
    return PLAN.receiver_layers(wildcards.objective, wildcards.receiver)


def blocks_of(wildcards):
    """Receiver layers of each job of a pair, by the block's name: `{"0-2": [0, 1, 2], "3-4": [3, 4]}`."""
    layers, size = receiver_layers(wildcards), STUDY.jobs.layers_per_job
    blocks = [layers[start : start + size] for start in range(0, len(layers), size)]
    return {f"{block[0]}-{block[-1]}": block for block in blocks}


def block_files(suffix):
    return lambda wildcards: [f"{BLOCK}{suffix}".format(block=block, **wildcards) for block in blocks_of(wildcards)]


# What the report shows first, in this order; then measures, and tables at last: it sorts by name.
CATEGORIES = ("All pairs at a glance", "The average pair", "Pairs", "Controls")


def in_report(stem, caption, category, objective=None, **labels):
    """The files of one figure, its caption among them; the report shows the PNG.

    Several labels become one, `sender → receiver`: of two, the report would sort the receiver before the sender. Two
    figures with equal labels would be one there: those of each objective have a section of their own.
    """
    labels = {" → ".join(labels): " → ".join(labels.values())}
    section = {"subcategory": section_of(objective)} if objective else {}
    shown = report(f"{stem}.png", caption=caption, category=chapter_of(category), labels=labels, **section)
    return [shown] + [f"{stem}.{kind}" for kind in DRAWN if kind != "png"]


def chapter_of(category):
    """What a category is called in the report."""
    return f"{CATEGORIES.index(category) + 1} {category}" if category in CATEGORIES else f"Measures: {category}"


def section_of(objective):
    """An objective's section in the report, in the study's order; that of a wildcard is its name alone."""
    return f"{list(SHOWN_RECIPES).index(objective) + 1} {objective}" if objective in SHOWN_RECIPES else objective


def recipes_label(sender, receiver):
    """What a figure of two recipes is called in the report: trained networks first, controls last."""
    return f"{1 + len(RECIPES) * RECIPES.index(sender) + RECIPES.index(receiver):02d} {sender} → {receiver}"


@cache
def caption_of(name):
    """What the report says below a figure, as plain text."""
    source = (CHECKOUT / "report" / name).read_text()
    return " ".join(publish_doctree(source).astext().split())


def of_pairs(folder, pattern, caption, category):
    """A folder with a figure per pair, one output whatever their number; the report shows every PNG of the pattern."""
    labels = {"sender → receiver": "{sender} → {receiver}"}
    section = {"subcategory": "{objective}"} if "{objective}" in pattern else {}
    return report(
        directory(folder),
        patterns=[f"{pattern}.png"],
        caption=caption,
        category=chapter_of(category),
        labels=labels,
        **section,
    )


def drawn_by(rule):
    """How many files of figures a rule's job draws: those that it names, and those of each pair."""
    named = sum(Path(file).suffix[1:] in FORMATS for file in rule.output)
    if rule.name == "draw_pairs":
        shown = [REMAPPED if name == OVER_REMAPPED else name for name in SHOWN_RECIPES]
        return named + sum(len(STUDY.ordered_pairs(name)) for name in shown) * len(FORMATS)
    if rule.name == "draw_generated_images" and PAIRS_DRAWN:
        return named + len({pair for name in COMPARED for pair in STUDY.ordered_pairs(name)}) * len(FORMATS)
    return named


def table_of_cells(name):
    """The path of a table with rows for each cell."""
    return RESULTS / (f"tables/{name}.parquet" if LARGE else f"tables/{name}.csv")


def shown_unless_large(path, caption, table):
    """A table with rows for each cell, as an output; the report of a large study would be longer than any browser takes."""
    return directory(path) if LARGE else report(path, caption=caption, category="Tables", labels={"table": table})


# Of an architecture, what a network of a recipe depends on; where it is cut concerns stitches alone.
BUILT = {"model", "name", "arguments", "stem", "image_size", "mean", "std"}


def part_of_architecture(*more):
    """The part of a network's architecture that its weights depend on; a library's weights tell the images' size."""

    def part(wildcards):
        architecture = architecture_of(wildcards.network)
        library = {"weights"} if architecture.weights == LIBRARY else set()
        return architecture.model_dump(mode="json", include={*BUILT, *more, *library})

    return part


def weights_of(wildcards):
    """The file of a network's weights, if it has one."""
    file = architecture_of(wildcards.network).weights_of(NetworkId.parse(wildcards.network).seed)
    return [file] if file else []


def stitching_code(wildcards):
    """One for all three rules, so that cutting a pair's work differently re-runs nothing."""
    return code_of_pair("stitch_pair.py", "join_layers.py", wildcards=wildcards)


def task_from(wildcards):
    """The settings of the objective `task` with a budget's epochs and start."""
    changes = {"keep_stitches": False, "epochs": float(wildcards.epochs), "start": wildcards.start}
    return STUDY.stitches.task.model_copy(update=changes).plain()


def capacity_family(wildcards):
    """The section of the family that a rule's wildcard names."""
    return next(one for one in STUDY.measures.capacity.families if label(one) == wildcards.family)


def capacity_settings(wildcards):
    """How `measures.capacity` trains the stitches of a family."""
    return STUDY.measures.capacity.training(STUDY.stitches.task, capacity_family(wildcards))


def capacity_code(wildcards):
    """Of a job that loads both networks, and fits by other names than those of the study's objectives."""
    settings = capacity_settings(wildcards)
    modules = {source_module(architecture_of(wildcards[role]).model) for role in ("sender", "receiver")}
    modules |= {objective_module(wildcards.objective), protocol_module(settings.protocol)}
    modules.add(family_module(settings.family.name))
    return with_networks(code_of("stitch_pair.py", modules=tuple(sorted(modules))), wildcards)
