"""A sweep's Dask cluster: of this machine or an existing one, whose code must be this code."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from dask import config
from distributed import CancelledError, Client, LocalCluster, get_worker
from distributed.comm.core import CommClosedError

from golden.console.version import sources
from sim.cycle.library import library
from sim.errors import ToolError

__all__ = ["CODE", "TIMEOUT_SECONDS", "connect", "each", "require_workers", "worker_count"]

TIMEOUT_SECONDS = 10.0
"""For a scheduler to answer, and for it to have a worker."""

_LOOK_SECONDS = 1.0
_HOW_TO_START = "python -m dask worker ADDRESS"


CODE = sources("hw", "golden", "compiler", "sim")
"""SHA-256, in hex, over all that a row is computed by, as this process has loaded it."""


def _code_of_worker() -> str:
    return CODE


def _prepare_worker() -> None:
    library()  # compiled once a machine


def require_workers(scheduler: str | None, workers: int) -> None:
    """Refuse, with a ValueError, to start no workers where there is no cluster."""
    if scheduler is None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")


@contextmanager
def connect(
    scheduler: str | None, workers: int, timeout_seconds: float = TIMEOUT_SECONDS
) -> Iterator[Client]:
    """Connect to a scheduler, or start workers on this machine; all of it ends with the block.

    Parameters
    ----------
    scheduler : str or None
        Address of an existing one, such as ``tcp://127.0.0.1:8786``.
    workers : int
        How many processes are started where there is no `scheduler`.
    timeout_seconds : float
        For the scheduler to answer.

    Raises
    ------
    ValueError
        In one sentence, where no scheduler answers or it has no workers.
    ToolError
        Where a worker has not this code.
    """
    for name in logging.root.manager.loggerDict:  # what fails is said in sentences
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with config.set({"distributed.comm.timeouts.connect": f"{timeout_seconds}s"}):
        if scheduler is not None:
            with _client(scheduler, timeout_seconds) as client:
                _require_this_code(client)
                yield client
            return
        require_workers(scheduler, workers)
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            _require_this_code(client)
            yield client


@contextmanager
def _client(scheduler: str, timeout_seconds: float) -> Iterator[Client]:
    try:
        client = Client(scheduler, timeout=timeout_seconds)
    except (OSError, ValueError):  # of no answer; of an address that is none
        raise ValueError(
            f"no Dask scheduler answers at {scheduler} within {timeout_seconds:g} s: start one "
            "with python -m dask scheduler, or leave out --scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout_seconds)
        except TimeoutError:
            raise ValueError(
                f"the Dask scheduler at {scheduler} has no worker: start one in the project's "
                f"root, with {_HOW_TO_START}"
            ) from None
        yield client


def _require_this_code(client: Client) -> None:
    """Raise ToolError naming the first worker that cannot compute as this process would."""
    found: Any = client.run(_code_of_worker, on_error="return")  # awaited: not asynchronous
    for address, code in sorted(found.items()):
        if "ModuleNotFoundError" in repr(code):  # Dask passes it on as text
            raise ToolError(
                f"the worker at {address} does not find Spikeloom: start it in the project's root, "
                f"with {_HOW_TO_START}"
            )
        if isinstance(code, Exception):
            raise ToolError(f"the worker at {address} does not answer: {code!r}")
        if code != CODE:
            raise ToolError(_other_code(address, code))
    found = client.run(_prepare_worker, on_error="return")
    for address, error in sorted(found.items()):
        if isinstance(error, Exception):
            raise ToolError(f"the worker at {address} cannot simulate: {error}")


def _other_code(address: str, code: str) -> str:
    return (
        f"the worker at {address} has another version of Spikeloom ({code[:12]}, here "
        f"{CODE[:12]}): start it anew from the same files"
    )


class _OtherCode(Exception):
    """A worker, which may have joined after the others were asked, has another Spikeloom."""


def _call(code: str, function: Callable[..., Any], *arguments: object) -> Any:
    if code != CODE:
        raise _OtherCode(get_worker().address, CODE)
    return function(*arguments)


def _same(value: object) -> object:
    return value


def each(
    client: Client,
    function: Callable[..., Any],
    arguments: Sequence[tuple],
    shared: Sequence[object],
) -> Iterator[tuple[int, Any]]:
    """Call a function on the workers, once for each of `arguments`; yields results as they come.

    A call whose worker dies is made again on another, a few times.

    Parameters
    ----------
    client : Client
        The cluster.
    function : callable
        Of one of `arguments`, and of what it says it shares.
    arguments : sequence of tuple
        First an index into `shared`, then whatever else.
    shared : sequence
        Objects that many calls need: sent once. They are tasks, not scattered data: those Dask
        makes again when the worker that holds them dies.

    Yields
    ------
    tuple of int and object
        Index of the arguments, and what was returned, or the Exception that was raised.

    Raises
    ------
    ToolError
        Where the scheduler, or the last worker, goes away.
    """
    with _scheduler_there():
        held = [client.submit(_same, value, pure=False) for value in shared]
        indices = {
            client.submit(_call, CODE, function, held[which], *others, pure=False): index
            for index, (which, *others) in enumerate(arguments)
        }
        done: SimpleQueue = SimpleQueue()
        for future in indices:
            future.add_done_callback(done.put)
        lonely_seconds = 0.0
        while indices:
            try:
                future = done.get(timeout=_LOOK_SECONDS)
            except Empty:
                lonely_seconds = 0.0 if worker_count(client) else lonely_seconds + _LOOK_SECONDS
                if lonely_seconds >= TIMEOUT_SECONDS:
                    raise ToolError(
                        "the cluster has lost all its workers: start some, and give the command "
                        "again, which goes on where it stopped"
                    ) from None
                continue
            try:
                found = _result(future)
            except TimeoutError:  # its worker died before it gave the result away
                future.add_done_callback(done.put)
            else:
                yield indices.pop(future), found


def worker_count(client: Client) -> int:
    """Return how many workers there are; raises as `each` does."""
    with _scheduler_there():
        if client.status != "running":
            raise CommClosedError(client.status)
        scheduler: Any = client.scheduler  # it is running
        ncores: Any = client.sync(scheduler.ncores, callback_timeout=TIMEOUT_SECONDS)
        return len(ncores)


def _result(future: Any) -> Any:
    """Return what a finished future holds, or its Exception."""
    error = future.exception(timeout=_LOOK_SECONDS)
    if isinstance(error, _OtherCode):
        raise ToolError(_other_code(*error.args))
    return future.result(timeout=_LOOK_SECONDS) if error is None else error


@contextmanager
def _scheduler_there() -> Iterator[None]:
    try:
        yield
    except (CancelledError, CommClosedError, OSError) as error:
        raise ToolError(
            "the Dask scheduler has gone away: start it again, and give the command again, which "
            "goes on where it stopped"
        ) from error
