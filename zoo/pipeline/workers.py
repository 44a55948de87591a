"""Tasks that no tensor operation can batch: one thread each, in as many processes as this one may use threads."""

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch

from zoo.errors import ZooError
from zoo.pipeline.device import keep_memory, peak_memory_mb

T = TypeVar("T")
WORTH_STARTING = 30.0
"""Seconds of work, on one thread, from which processes are started; one takes up to ten to import torch."""


def results(tasks: Iterator[Callable[[], T]], count: int) -> Iterator[T]:
    """What `count` tasks return, in their order.

    They run here until one shows that the rest will be long work, and the rest in worker processes. Either way a task
    has one thread: what it returns depends neither on the number of cores nor on where it ran, and the cores have no
    more threads than they are given (OMP_NUM_THREADS). Tasks and what they return must pickle. Raises ZooError where
    the system killed a process.
    """
    with one_thread() as threads:
        for left in range(count - 1, -1, -1):
            start = time.monotonic()
            yield next(tasks)()
            processes = min(threads, left, _affordable())
            if processes > 1 and left * (time.monotonic() - start) > WORTH_STARTING:
                yield from _in_processes(tasks, processes)
                return


def _affordable() -> int:
    """How many processes like this one take half the machine's memory."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return int(total / 2 / peak_memory_mb())


def _in_processes(tasks: Iterator[Callable[[], T]], processes: int) -> Iterator[T]:
    # joblib's loky: unlike the processes of the standard library its own start without importing the script that
    # asked for them once more, set their number of threads before torch reads it, and serve the next call too.
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    with joblib.parallel_config("loky", n_jobs=processes, inner_max_num_threads=1):
        run = joblib.Parallel(return_as="generator")
        try:
            yield from cast("Iterator[T]", run(joblib.delayed(_one)(task, os.getpid()) for task in tasks))
        except TerminatedWorkerError:
            why = f"one of {processes} worker processes was killed, most likely for want of memory"
            raise ZooError(f"{why}; set OMP_NUM_THREADS to fewer, or to 1 for none") from None


def _one(task: Callable[[], T], parent: int) -> T:
    _end_with(parent)
    keep_memory()
    with one_thread():
        return task()


@functools.cache
def _end_with(parent: int) -> None:
    """Let this process end with the one that started it, however that ends: after a kill it would wait for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def one_thread() -> Iterator[int]:
    """Torch on one thread; gives the number that it otherwise has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
