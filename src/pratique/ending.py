"""How a command ends: what it prints, and its exit code.

0 is what a command that came to its own end returns, and nothing else: no `sys.exit` inside a check or a library can stand for
an admission. Whatever else happens is a sentence on stderr and the exit code of its error; with `--format json` it is also the
one JSON document on stdout: `{"error", "message", "hint", "exit_code"}`, with the `rule` where what is wrong has a name of its
own, and `denials` if a policy said no.

What is printed quotes strangers, so whatever a terminal would act on is printed as an escape.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from pratique import documents, errors

INTERRUPTED = 130
NOBODY_READS = 141
"""As a shell reports a program that SIGINT or SIGPIPE has ended: 128 and the signal's number."""

_EXTRAS = {
    "airflow": "airflow", "great_expectations": "data", "kfp": "kfp", "numpy": "data", "pandas": "data", "pyarrow": "data",
    "scipy": "data", "sklearn": "data", "torch": "torch",
}  # fmt: skip
"""Which extra brings an optional library."""


class Ended(Exception):
    """A command has printed all that there is to say, and it was no success."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(command: click.Command) -> None:
    """Run a command line, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without a letter is no reason to fail
    code = _run(command)
    try:
        if sys.stdout is not None:  # closed on purpose
            sys.stdout.flush()
    except (OSError, ValueError):
        code = code or _nobody_reads()
    sys.exit(code)


def tell(form: str, data: dict[str, Any], text: str) -> None:
    """Print a command's result, as `text` or as `json`.

    Raises:
        StoreError: the output cannot be written.
    """
    try:
        click.echo(_dumped(data) if form == "json" else documents.plain(text))
    except BrokenPipeError:
        raise
    except OSError as error:
        _nobody_reads()
        raise errors.StoreError(f"cannot write the output: {error.strerror}") from error


def _run(command: click.Command) -> int:
    stdout = sys.stdout
    try:
        command(standalone_mode=False)
        return 0
    except Ended as ended:
        return ended.code
    except errors.Error as error:
        return _fail(type(error).__name__, str(error), error.hint, error.exit_code, **_more(error))
    except click.exceptions.Abort:
        return _fail("Interrupted", "", "", INTERRUPTED)
    except click.ClickException as error:
        return _usage(error)
    except BrokenPipeError:
        return _nobody_reads()
    except SystemExit as error:  # click's own way out of a broken pipe, on which it wraps stdout; or somebody's way out of all
        return _nobody_reads() if sys.stdout is not stdout else _bug(error)
    except Exception as error:  # nothing that a user can hit should end here; if it does, say so and fail
        extra = _EXTRAS.get((error.name or "").partition(".")[0]) if isinstance(error, ModuleNotFoundError) else None
        if extra is None:
            return _bug(error)
        return _fail("UsageError", str(error), f"pip install 'pratique[{extra}]'", errors.UsageError.exit_code)


def _more(error: errors.Error) -> dict[str, Any]:
    if not isinstance(error, errors.Denied):
        return {"rule": error.rule} if error.rule else {}
    keys = ("check", "rule", "reason", "where", "fix")
    return {"denials": [{key: getattr(one, key) for key in keys} for one in error.verdict.denials]}


def _usage(error: click.ClickException) -> int:
    """Click's own complaints, which know the usage and the nearest option."""
    if _wants_json():
        return _fail("UsageError", error.format_message(), "see --help", error.exit_code)
    error.show()
    return error.exit_code


def _bug(error: BaseException) -> int:
    if os.environ.get("PRATIQUE_DEBUG"):
        traceback.print_exception(error)
    message = f"this is a bug in pratique: {type(error).__name__}: {error}"
    return _fail("Bug", message, "run it again with PRATIQUE_DEBUG=1 and report what it prints", errors.Error.exit_code)


def _fail(name: str, message: str, hint: str, code: int, **more: Any) -> int:
    """Say what went wrong: to people on stderr, and to machines on stdout."""
    with suppress(OSError, ValueError):
        click.secho(documents.plain(f"{name}: {message}" if message else name), fg="red", err=True)
        if hint:
            click.echo(documents.plain(f"Hint: {hint}"), err=True)
    if _wants_json():
        with suppress(OSError, ValueError):
            click.echo(_dumped({"error": name, "message": message, "hint": hint, "exit_code": code, **more}))
    return code


def _nobody_reads() -> int:
    """Whoever read our output has gone, or its disk is full. Python would try again on its way out: let that succeed."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS


def _wants_json() -> bool:
    """Also when the command line could not be parsed."""
    words = sys.argv[1:]
    return "--format=json" in words or "--json" in words or ("--format", "json") in itertools.pairwise(words)


def _dumped(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True)
