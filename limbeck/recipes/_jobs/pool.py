"""Processes that run jobs, one at a time each, with the machine's GPUs in turns."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from limbeck.cores import count_usable_cores
from limbeck.recipes._jobs.job import Failure, Failures, Job, run_job
from limbeck.train import Progress, SilentProgress, defer_interrupts

_PATIENCE_SECONDS = 0.2  # how soon a request to stop is seen
_SAFE_PATH = "PYTHONSAFEPATH"
_VISIBLE = "CUDA_VISIBLE_DEVICES"  # what CUDA reads when a process first uses it


def spread_over_gpus(gpus: Sequence[str], num_workers: int) -> list[dict[str, str]]:
    """Returns what each worker's environment has beside ours: one GPU of several, in turns.

    Args:
        gpus: As CUDA's own variable names them.
        num_workers: Number of workers.

    Example:
        >>> spread_over_gpus(["0", "1"], 3)  # doctest: +NORMALIZE_WHITESPACE
        [{'CUDA_VISIBLE_DEVICES': '0'}, {'CUDA_VISIBLE_DEVICES': '1'},
         {'CUDA_VISIBLE_DEVICES': '0'}]
        >>> spread_over_gpus(["0"], 2)
        [{}, {}]
    """
    if len(gpus) < 2:
        return [{} for _ in range(num_workers)]
    return [{_VISIBLE: gpus[number % len(gpus)]} for number in range(num_workers)]


def find_gpus() -> list[str]:
    """Returns the GPUs that this process may use, by the names that the user gave them if any."""
    import torch

    number = torch.cuda.device_count()
    given = os.environ.get(_VISIBLE)
    names = range(number) if given is None else given.split(",")[:number]
    return [str(name).strip() for name in names]


class _Worker:
    """A process that runs one job at a time."""

    def __init__(self, environment: dict[str, str], *, num_threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far_end = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_work, args=(far_end, environment, num_threads), daemon=True
        )
        self.environment = environment
        with _safe_path():
            self.process.start()
        far_end.close()
        self.job: Job | None = None

    def begin(self, job: Job) -> None:
        self.job = job
        self.connection.send_bytes(job.to_json())

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


class Pool:
    """Some workers and the jobs that they have still to do."""

    def __init__(
        self,
        jobs: Sequence[Job],
        environments: list[dict[str, str]],
        progress: Progress,
        failures: Failures,
    ) -> None:
        self._waiting = list(jobs)
        self._progress = progress
        self._failures = failures
        self._num_threads = max(1, count_usable_cores() // len(environments))
        self._workers: list[_Worker] = []
        self._unused = environments  # of workers that are not running

    def run(self) -> None:
        """Runs until nothing is left, or until somebody asks to stop."""
        is_stopping = False
        try:
            with defer_interrupts() as interrupt:
                while not is_stopping or self._busy():
                    if interrupt.requested and not is_stopping:
                        is_stopping = True
                        for worker in self._busy():
                            worker.process.terminate()  # a run saves its checkpoint on SIGTERM
                    if not is_stopping:
                        self._give_out()
                        if not self._busy():
                            break
                    self._listen(is_stopping=is_stopping)
        finally:
            for worker in self._workers:
                worker.close()

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is not None]

    def _give_out(self) -> None:
        """Starts what can be started."""
        self._waiting = [job for job in self._waiting if not self._failures.blocks(job)]
        running = [worker.job for worker in self._workers if worker.job is not None]
        unfinished = {job.name for job in [*self._waiting, *running]}
        ready = [job for job in self._waiting if job.after not in unfinished]
        for job in ready:
            idle = [worker for worker in self._workers if worker.job is None]
            if not idle and self._unused:
                idle = [_Worker(self._unused.pop(0), num_threads=self._num_threads)]
                self._workers += idle
            if not idle:
                return
            self._waiting.remove(job)
            idle[0].begin(job)

    def _listen(self, *, is_stopping: bool) -> None:
        """Takes what the workers have to say."""
        by_connection = {worker.connection: worker for worker in self._busy()}
        for connection in wait(list(by_connection), timeout=_PATIENCE_SECONDS):
            assert isinstance(connection, Connection)
            worker = by_connection[connection]
            job = worker.job
            assert job is not None
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError):
                self._workers.remove(worker)
                self._unused.append(worker.environment)
                worker.process.join()
                if not is_stopping:
                    code = worker.process.exitcode
                    text = f"its process ended with exit code {code}, without a word of why"
                    self._failures.note(job, Failure(why=text), self._progress)
                continue
            if "log" in message:
                self._progress.log(f"[{job.name}] {message['log']}")
                continue
            worker.job = None
            if message["failure"] is not None:
                self._failures.note(job, Failure(**message["failure"]), self._progress)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Has a Python that starts meanwhile import nothing from the working folder.

    A new process begins as `python -c`, which would look there first for `multiprocessing`. Where
    the parent's path has the folder, the child gets it later, with the rest.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _work(connection: Connection, environment: dict[str, str], num_threads: int) -> None:
    """Runs the jobs that come through the pipe until it is closed; the body of a process."""
    os.environ.update(environment)  # before anything asks CUDA for its devices
    import torch

    # Ctrl-C in a terminal goes to the whole group; the parent passes it on, once.
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    torch.set_num_threads(num_threads)
    progress = _SentProgress(lambda text: _send(connection, {"log": text}))
    while True:
        try:
            content = connection.recv_bytes()
        except EOFError:
            return
        try:
            failure = run_job(content, progress=progress)
        except KeyboardInterrupt:
            return
        _send(connection, {"failure": None if failure is None else asdict(failure)})


def _stop_with_parent() -> None:
    """Waits for the parent's end, then has the running job save its checkpoint and stop.

    A parent that is killed can't ask for that, and the same jobs, started again, would work in the
    same folders.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _send(connection: Connection, message: dict[str, Any]) -> None:
    with suppress(OSError):  # a parent that was killed hears nothing
        connection.send_bytes(json.dumps(message).encode())


class _SentProgress(SilentProgress):
    """Sends lines to the parent; bars of several processes would only disturb each other."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send

    def log(self, message: str) -> None:
        """Sends one line."""
        self._send(message)
