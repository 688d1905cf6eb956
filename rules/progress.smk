"""What the run's display (`workflow_scripts/snakemake_logger_plugin_study`) is told of its jobs."""

from modelstitch.planning import operations

DISPLAY = sys.modules.get("snakemake_logger_plugin_study")  # none where Snakemake's own output was asked for
if DISPLAY:
    DISPLAY.expect(page=str(EXPLORER))

# Cells that the jobs of a rule train, and the plan that says how.
TRAINED_CELLS = {
    "stitch_pair": lambda wildcards: (PLAN, cells_of_pair(wildcards)),
    "stitch_layers": lambda wildcards: (PLAN, cells_of_block(wildcards)),
    "stitch_capacity": lambda wildcards: (plan_of_capacity(wildcards), cells_of_task(wildcards)),
    "stitch_training_budget": lambda wildcards: (
        PLAN.with_task(STUDY.stitches.task.model_copy(update={"epochs": float(wildcards.epochs)})),
        cells_of_task(wildcards),
    ),
}


def work_of(job):
    """Cells and operations of a job, whose number tells its time."""
    if job.rule.name == "train_network":
        return 0, operations.network(PLAN, job.wildcards.network)
    if job.rule.name not in TRAINED_CELLS:
        return 0, 0
    plan, cells = TRAINED_CELLS[job.rule.name](job.wildcards)
    _, _, _, sender_layers, receiver_layers = cells
    return len(sender_layers) * len(receiver_layers), operations.training(plan, *cells)


def tell_progress():
    """Before the first job starts."""
    if DISPLAY:
        dag = workflow.dag
        jobs = [job for job in dag.needrun_jobs() if not job.rule.norun]
        DISPLAY.expect({dag.jobid(job): (job.rule.name, *work_of(job)) for job in jobs}, JOBS_AT_ONCE)
