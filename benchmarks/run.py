"""Run every benchmark here and write docs/benchmarks.md: `make bench`.

    python benchmarks/run.py                    all of them, a quarter of an hour
    python benchmarks/run.py imports gate       only these; the page keeps the others as they were

A benchmark is a file beside this one with a function `measure() -> list[Row]` (`rows`). Everything in a row was measured in one
run on one machine, so ratios can be compared with yours, and seconds cannot. A file without `measure` is run by itself.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from rows import Row, table

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

`make bench` measures all of this again and writes this page. What a row is compared with was measured in the same run, on the
same machine, on the same bytes: ratios travel, seconds do not. A ratio above 1 is better than the peer. Goals that were missed
are written down as they are.
"""


def benchmarks() -> dict[str, Callable[[], list[Row]]]:
    """Every benchmark by the name of its file."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        if path.stem in ("run", "rows") or "\ndef measure(" not in path.read_text(encoding="utf-8"):
            continue
        found[path.stem] = importlib.import_module(path.stem).measure
    return found


def machine() -> str:
    """What ran it, and nothing by which it could be found."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return (
        f"{_processor()}, {os.cpu_count()} cores, {pages * size / (1 << 30):.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text(encoding="utf-8")) if info.exists() else None
    return named[1] if named else platform.machine()


def section(name: str, measure: Callable[[], list[Row]]) -> str:
    """Run one, and say how it went."""
    started, busy = time.monotonic(), os.getloadavg()[0]
    rows = measure()
    about = (inspect.getdoc(inspect.getmodule(measure)) or name).split("\n\n")[0].replace("\n", " ")
    when = f"{datetime.now(timezone.utc):%Y-%m-%d}, {machine()}; {time.monotonic() - started:.0f} s, load before it {busy:.1f}"
    return f"## {name}\n\n{about}\n\n{table(rows)}\n\n{when}\n"


def sections(page: str) -> dict[str, str]:
    """What a page holds, by name."""
    return {part.split("\n", 1)[0]: f"## {part.strip()}\n" for part in page.split("\n## ")[1:]}


def main() -> None:
    """Measure, and write the page."""
    known = benchmarks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(known)}")
    names = parser.parse_args().names or list(known)
    for name in names:
        if name not in known:
            sys.exit(f"no benchmark is called {name!r}; there are {', '.join(known)}")
    held = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    broken = []
    for name in names:
        print(f"{name} ...", flush=True)
        try:
            held[name] = section(name, known[name])
        except Exception as error:  # what was measured before and what comes after are none the worse for it
            print(f"{name} broke off: {type(error).__name__}: {error}", file=sys.stderr)
            broken.append(name)
            continue
        print(held[name])
        PAGE.write_text("\n".join([HEAD, *(held[one] for one in sorted(held) if one in known)]), encoding="utf-8")
    if broken:
        sys.exit(f"not measured: {', '.join(broken)}")


if __name__ == "__main__":
    main()
