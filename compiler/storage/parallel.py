"""Work shared out among threads: what takes time here holds no interpreter lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

import torch

__all__ = ["cores", "run"]

T = TypeVar("T")

_MOST = 8  # each holds its own blocks in memory, and a disk feeds no more


def cores() -> int:
    """Return how many threads are worth having."""
    return min(len(os.sched_getaffinity(0)), _MOST)


def run(jobs: Iterable[Callable[[], T]], done: Callable[[T], None]) -> None:
    """Do jobs on all cores, begun in their order; `done` is told each one's result as it ends.

    The first error ends it, or an interrupt, once what is under way has ended.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a job's own threads would only stand in the way of the others
    pool = ThreadPoolExecutor(max_workers=cores() + 1)  # one more: some wait for the disk
    try:
        futures = [pool.submit(job) for job in jobs]
        for future in as_completed(futures):
            done(future.result())
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
