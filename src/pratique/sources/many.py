"""Many files of one service, a few at a time; the first failure stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pratique.sources.plans import Progress
from pratique.sources.web import Inspect, Web
from pratique.sources.writing import Sink

WORKERS = 6
"""Connections at once: enough to hide the time that each takes to open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file to get."""

    url: str
    path: Path
    """Where it goes; its folder exists."""

    what: str
    """What to call it in errors."""

    size: int | None
    """Bytes, as the service listed them; None if it did not say."""

    digests: Mapping[str, str] = field(default_factory=dict)
    """What it must hash to (`writing.Sink`)."""


def save_all(web: Web, jobs: Iterable[Job], *, most: int, progress: Progress, inspect: Inspect | None = None) -> None:
    """Get every file, or raise the first error.

    Args:
        most: bytes of a file whose size the service did not say.
        progress: called with bytes written, by one thread at a time.
    """
    tell, stop = one_at_a_time(progress), threading.Event()
    calls = []
    for one in jobs:
        sink = Sink(one.path, what=one.what, size=one.size, most=most, digests=one.digests, progress=tell, stop=stop)
        calls.append(partial(web.save, one.url, sink, inspect=inspect))
    together(calls, stop)


def together(calls: Iterable[Callable[[], None]], stop: threading.Event) -> None:
    """Make every call, or raise the first error; then `stop` is set, for the calls under way to look at."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="pratique-fetch") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:  # also when somebody presses Ctrl-C
            failed = [one for one in futures if one.done() and one.exception()]
            if failed or not all(one.done() for one in futures):
                stop.set()
                pool.shutdown(cancel_futures=True)
    for future in (*failed, *futures):  # what failed first comes first; what was stopped because of it later
        future.result()


def one_at_a_time(progress: Progress) -> Progress:
    """A progress callback that threads may share."""
    lock = threading.Lock()

    def tell(count: int) -> None:
        with lock:
            progress(count)

    return tell
