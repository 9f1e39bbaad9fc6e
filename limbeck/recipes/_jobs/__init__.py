"""Many runs as one plan of jobs: in processes if asked, each failing and going on by itself."""

from limbeck.recipes._jobs.job import Failures, Job, find_waiting
from limbeck.recipes._jobs.run import run_jobs

__all__ = ["Failures", "Job", "find_waiting", "run_jobs"]
