"""What jobs ask a scheduler for: more each time a job is tried again."""

from modelstitch.planning import requests


@cache
def asked(request, *arguments):
    """What `requests` says, once for all pairs that differ by seeds alone."""
    return request(PLAN, *arguments)


def of_cells(request, objective, sender, receiver, sender_layers, receiver_layers):
    """What `requests` says of some cells of a pair."""
    networks = (NetworkId.parse(network)._replace(seed=0) for network in (sender, receiver))
    return asked(request, objective, *networks, tuple(sender_layers), tuple(receiver_layers))


def times_attempt(amount):
    """A resource that grows each time a job is tried again."""
    return lambda wildcards, attempt: amount * attempt


def memory_of_network(wildcards, attempt):
    return requests.network_mb(PLAN, wildcards.network) * attempt


def minutes_of_network(wildcards, attempt):
    return requests.network_minutes(PLAN, wildcards.network) * attempt


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
    return lambda wildcards, attempt: of_cells(requests.pair_mb, *cells(wildcards)) * attempt


def memory_of_joining(wildcards, attempt):
    family = PLAN.settings[wildcards.objective].family
    return requests.joining_mb(PLAN, wildcards.sender, wildcards.receiver, family) * attempt


def minutes_of(cells):
    return lambda wildcards, attempt: of_cells(requests.pair_minutes, *cells(wildcards)) * attempt


def memory_of_capacity(wildcards, attempt):
    plan = PLAN.with_task(capacity_settings(wildcards))
    return requests.pair_mb(plan, *cells_of_task(wildcards)) * attempt


def minutes_of_capacity(wildcards, attempt):
    plan = PLAN.with_task(capacity_settings(wildcards))
    return requests.pair_minutes(plan, *cells_of_task(wildcards)) * attempt


def minutes_of_budget(wildcards, attempt):
    longer = max(1, float(wildcards.epochs) / STUDY.stitches.task.epochs)
    return round(of_cells(requests.pair_minutes, *cells_of_task(wildcards)) * longer) * attempt


def memory_of_spectra(wildcards, attempt):
    networks = wildcards.sender, wildcards.receiver
    return attempt * max(requests.spectra_mb(PLAN, objective, *networks) for objective in objectives_of(wildcards))
