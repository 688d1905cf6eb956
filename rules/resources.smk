"""What jobs ask a scheduler for: more of what they had too little of, each time they are tried again.

`resources` of a profile caps it: `runtime=2880` lets no job ask for more than two days.
"""

from modelstitch.planning import requests
from slurm import executor

if workflow.is_main_process:
    executor.use(STUDY.study)


@cache
def asked(request, *arguments):
    """What `requests` says, once for all pairs that differ by seeds alone."""
    return request(PLAN, *arguments)


def of_cells(request, objective, sender, receiver, sender_layers, receiver_layers):
    """What `requests` says of some cells of a pair."""
    networks = (NetworkId.parse(network)._replace(seed=0) for network in (sender, receiver))
    return asked(request, objective, *networks, tuple(sender_layers), tuple(receiver_layers))


def snakemake_mb():
    """Beside a job."""
    return 0 if LOCAL else asked(requests.snakemake_mb)


def grown(amount, *ends):
    """A resource that grows each time one of these ends a job; with each attempt, where nobody knows how it ended."""

    def resource(wildcards, attempt, rulename):
        times = executor.times_ended(rulename, wildcards, *ends)
        return amount(wildcards) * (attempt if times is None else 1 + times)

    return resource


def memory(amount):
    """Memory by a function of the wildcards. A cluster that does not limit it tells of no lack, just of a failure."""
    return grown(lambda wildcards: snakemake_mb() + amount(wildcards), executor.OUT_OF_MEMORY, "FAILED")


def minutes(amount):
    """Time by a function of the wildcards."""
    return grown(amount, executor.OUT_OF_TIME)


memory_of_network = memory(lambda wildcards: requests.network_mb(PLAN, wildcards.network))
minutes_of_network = minutes(lambda wildcards: requests.network_minutes(PLAN, wildcards.network))


# Of jobs that gather, and of those that draw a figure for each pair.
tables_mb = memory(lambda wildcards: asked(requests.tables_mb))
tables_minutes = minutes(lambda wildcards: asked(requests.tables_minutes))
pair_figures_minutes = minutes(lambda wildcards: asked(requests.pair_figures_minutes))


def cells_of_pair(wildcards):
    """Objective, networks and layers of a pair."""
    layers = sender_layers(wildcards), receiver_layers(wildcards)
    return wildcards.objective, wildcards.sender, wildcards.receiver, *layers


def cells_of_task(wildcards):
    """The same of the objective `task`, whatever the rule's own is."""
    networks = wildcards.sender, wildcards.receiver
    return "task", *networks, PLAN.sender_layers("task", networks[0]), PLAN.receiver_layers("task", networks[1])


def cells_of_block(wildcards):
    return *cells_of_pair(wildcards)[:4], blocks_of(wildcards)[wildcards.block]


def cells_into_input(wildcards):
    """Of stitches into the receiver's input."""
    return wildcards.objective, wildcards.sender, wildcards.receiver, sender_layers(wildcards), [-1]


def memory_of(cells):
    """Of the cells that a function of the wildcards names."""
    return memory(lambda wildcards: of_cells(requests.pair_mb, *cells(wildcards)))


def minutes_of(cells):
    return minutes(lambda wildcards: of_cells(requests.pair_minutes, *cells(wildcards)))


def minutes_of_measure(*networks):
    """Of a measure of the networks that these wildcards name."""
    return minutes(lambda wildcards: requests.measure_minutes(PLAN, *(wildcards[name] for name in networks)))


def plan_of_capacity(wildcards):
    return PLAN.with_task(capacity_settings(wildcards))


def budget_minutes(wildcards):
    longer = max(1, float(wildcards.epochs) / STUDY.stitches.task.epochs)
    return round(of_cells(requests.pair_minutes, *cells_of_task(wildcards)) * longer)


memory_of_joining = memory(
    lambda wildcards: requests.joining_mb(
        PLAN, wildcards.sender, wildcards.receiver, PLAN.settings[wildcards.objective].family
    )
)
memory_of_capacity = memory(lambda wildcards: requests.pair_mb(plan_of_capacity(wildcards), *cells_of_task(wildcards)))
minutes_of_capacity = minutes(
    lambda wildcards: requests.pair_minutes(plan_of_capacity(wildcards), *cells_of_task(wildcards))
)
minutes_of_budget = minutes(budget_minutes)
memory_of_spectra = memory(
    lambda wildcards: max(
        requests.spectra_mb(PLAN, objective, wildcards.sender, wildcards.receiver)
        for objective in objectives_of(wildcards)
    )
)
