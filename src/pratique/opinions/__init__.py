"""What other people's scanners say about a file. An opinion can make a verdict worse, and never better.

    opinions.ask("picklescan", Path("model.pkl"), name="model.pkl")      # Opinion(dangers=("os system",), ...)

A scanner is a program that reads strangers' bytes with parsers of its own: so it works in the sandbox, on the open file and
without any right, and what it answers is read as the stranger's own words. Whoever takes it over can make it say that there is
nothing; that is why nothing rests on it.

A scanner that is not installed, breaks down, takes too long or answers something else than it should has given no opinion. The
policy asked for one, so that denies (`NoOpinion`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents, sandbox
from pratique.errors import CheckError, Error

_WORD = Annotated[str, Field(max_length=400)]
MAX_ANSWER = 1 << 20
"""Bytes of an answer; picklescan's about a file with 1,000 bad imports are 30 KiB."""


class NoOpinion(CheckError):
    """A scanner that was asked has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A scanner, and how it is asked."""

    package: str
    """The distribution that brings it."""

    loader: str
    """Module of the loader that asks it, inside the sandbox."""

    suffixes: dict[str, str] = field(default_factory=dict)
    """The loader's function for a file by its suffix, where that matters to the scanner; `plain` for all others."""

    search: tuple[Path, ...] = ()
    """Folders from which it may be imported, besides what is installed."""

    limits: sandbox.Limits = field(default_factory=sandbox.Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a scanner said."""

    tool: str
    """Its name and version."""

    dangers: tuple[str, ...]
    """What it takes for dangerous, in its words; at most as many as `Answer` takes."""

    doubts: int
    """How many more things it does not know."""


class Answer(BaseModel):
    """What a loader writes, as JSON. It may be the file's own words."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    dangers: list[_WORD] = Field(max_length=50)
    doubts: int = Field(ge=0, le=1 << 40)
    complete: bool
    """Whether it has understood the file, by its own account."""


TOOLS = {
    "picklescan": Tool(
        package="picklescan",
        loader="pratique.opinions.picklescan",
        suffixes={".bin": "checkpoint", ".pt": "checkpoint", ".pth": "checkpoint", ".ckpt": "checkpoint", ".npy": "array"},
        limits=sandbox.Limits(seconds=120),
    )
}
"""The scanners that can be asked."""


def ask(name: str, file: Path, *, called: str) -> Opinion:
    """Let a scanner look at a file.

    Args:
        name: the scanner, one of `TOOLS`.
        file: a regular file.
        called: its path inside the artifact; scanners go by the suffix.

    Raises:
        NoOpinion: it is not there, failed, took too long, did not understand the file, or answered something else.
    """
    tool = TOOLS[name]
    function = tool.suffixes.get(PurePosixPath(called).suffix.casefold(), "plain")
    try:
        said = sandbox.run(f"{tool.loader}:{function}", file, limits=tool.limits, search=tool.search).data
        if len(said) > MAX_ANSWER:
            raise NoOpinion(f"its answer is {len(said):,} bytes long")
        answer = Answer.model_validate(documents.parse(said, what="its answer"))
    except ValidationError as error:
        raise NoOpinion(f"its answer is none: {error.errors()[0]['msg']}") from error
    except Error as error:
        raise NoOpinion(documents.short(str(error), 300), hint=error.hint) from error
    if not answer.complete and not answer.dangers:
        raise NoOpinion("it could not read the file")
    dangers = tuple(documents.short(documents.line(one), 120) for one in answer.dangers)
    return Opinion(tool=f"{name} {_version(tool)}".rstrip(), dangers=dangers, doubts=answer.doubts)


def _version(tool: Tool) -> str:
    try:
        return version(tool.package)
    except PackageNotFoundError:
        return ""
