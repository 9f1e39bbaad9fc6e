"""Runs jobs one after another, or spread over processes, each failing by itself."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.recipes._jobs.job import Failures, Job, run_job
from limbeck.recipes._jobs.pool import Pool, find_gpus, spread_over_gpus
from limbeck.train import Progress


def run_jobs(jobs: Sequence[Job], *, num_workers: int, progress: Progress) -> Failures:
    """Runs jobs; what fails is kept, and what waits for it is not run.

    Args:
        jobs: Each after the one that it waits for; one that is not among them counts as finished.
        num_workers: Processes; with one, the jobs run in this process.
        progress: Where to report.

    Raises:
        KeyboardInterrupt: When Ctrl-C or SIGTERM asked to stop, after the running jobs have saved
            their checkpoints.
    """
    failures = Failures()
    if num_workers > 1 and len(jobs) > 1:
        num_workers = min(num_workers, len(jobs))
        gpus = find_gpus() if all(job.takes_any_device for job in jobs) else []
        Pool(jobs, spread_over_gpus(gpus, num_workers), progress, failures).run()
        return failures
    for number, job in enumerate(jobs, start=1):
        if failures.blocks(job):
            continue
        progress.log(f"run {number} of {len(jobs)}: {job.name}")
        failure = run_job(job.to_json(), progress=progress)
        if failure is not None:
            failures.note(job, failure, progress)
    return failures
