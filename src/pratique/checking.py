"""What a check is, what it reports, and how checks are found and run.

A check observes. It never decides: it has no pass and no fail, only findings and measures. Whether those are acceptable is
the policy's business. Writing one takes a function and a line of `setup.cfg`:

    class FileCountOptions(Options):
        hidden: bool = False
        "Count hidden files too."

    @check("file-count", version="1", kinds=("model",), options=FileCountOptions, measures={"files": "number of files"})
    def file_count(artifact: Artifact, options: FileCountOptions) -> Report:
        '''How many files an artifact has.'''
        return Report(measures={"files": float(len(artifact.entries))})

    [options.entry_points]
    pratique.checks =
        file-count = my_package.file_count:file_count
"""

from __future__ import annotations

import difflib
import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, ValidationError, ValidationInfo

from pratique import documents
from pratique.artifacts import Artifact, Kind, Subject, digest_of, scan
from pratique.errors import ArtifactError, CheckError, CheckUnavailable, Error, UnknownCheck, UsageError
from pratique.listing import Listing

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")

GROUP = "pratique.checks"
"""The entry-point group in which packages register their checks."""


class Severity(enum.IntEnum):
    """How much a finding matters, least first."""

    NOTE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check saw."""

    rule: str
    """Stable id, in kebab case; a waiver names it."""

    severity: Severity
    """How much it matters where nothing else is known."""

    message: str
    """What was seen, in a sentence."""

    where: str = ""
    """File, row, tensor ... inside the artifact."""

    fix: str = ""
    """What to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that one check saw in one artifact."""

    findings: tuple[Finding, ...] = ()
    """In the order in which they were seen."""

    measures: Mapping[str, float] = field(default_factory=dict)
    """Finite numbers by name. What could not be measured is absent, never NaN."""

    materials: tuple[Subject, ...] = ()
    """What the check leaned on: reference profile, suite, base model, manifest."""

    def __post_init__(self) -> None:
        for name, value in self.measures.items():
            if not math.isfinite(value):
                raise CheckError(f"measure {name} is {value}; leave out what could not be measured")

    @property
    def worst(self) -> Severity:
        """The gravest finding's severity; NOTE if there is none."""
        return max((finding.severity for finding in self.findings), default=Severity.NOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What surrounds a run of checks and is no part of what they were asked: it does not enter the options' digest."""

    base: Path = Path()
    """Folder against which relative paths in options are resolved: the policy file's."""

    store: str = ""
    """URI of the evidence store."""

    trust: Mapping[str, Any] = field(default_factory=dict)
    """Whose signature counts, by the name that the policy gives them (`signing.Trusted`)."""

    revoked: frozenset[str] = frozenset()
    """What the policy has revoked. It enters the digest of every option that names signers."""


def _resolve(path: Path, info: ValidationInfo) -> Path:
    base = info.context.base if isinstance(info.context, Setting) else Path()
    try:
        found: Path = base / path.expanduser()
        return found.resolve(strict=True)  # a mounted ConfigMap is made of links
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, or the home of nobody
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"there is no file {base / path} ({why})") from error


def _content(path: Path) -> str:
    return digest_of(scan(path), is_file=path.is_file())


PolicyPath = Annotated[Path, AfterValidator(_resolve), PlainSerializer(_content)]
"""A path in a check's options: relative to the policy file, and bound by content in the options' digest."""


class Options(BaseModel):
    """What a check can be asked. Every field is a key under `options:` in a policy, and an option on each surface."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @property
    def digest(self) -> str:
        """Names the question: two sets of options with this digest ask the same, down to the bytes of files they name."""
        try:
            return documents.sha256(documents.canonical(self.model_dump(mode="json")))
        except ArtifactError as error:
            raise UsageError(f"cannot read a file that options name: {error}", hint=error.hint) from error
        except ValueError as error:  # infinity, NaN, half a character
            raise UsageError(f"an option has a value that cannot be written down: {error}") from error


O_contra = TypeVar("O_contra", bound=Options, contravariant=True)
O = TypeVar("O", bound=Options)  # noqa: E741  (one letter for one type variable)


class Check(Protocol[O_contra]):
    """What the gate needs of a check. `@check` makes one of a function."""

    @property
    def name(self) -> str:
        """Kebab-case id; the policy, the CLI, the operators and the components use it."""

    @property
    def version(self) -> str:
        """Changes whenever the same bytes and options may get another report."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it can look at."""

    @property
    def options(self) -> type[Options]:
        """The model of what it can be asked."""

    @property
    def rules(self) -> Mapping[str, str]:
        """Every rule that its findings can name, and what each means."""

    @property
    def measures(self) -> Mapping[str, str]:
        """Every measure that it can report (a `*` stands for a column or tensor name), and what each means."""

    def __call__(self, artifact: Artifact, options: O_contra, /) -> Report:
        """Look at one artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCheck(Generic[O]):
    """A check made of a function; see `check`."""

    name: str
    version: str
    kinds: frozenset[Kind]
    options: type[O]
    rules: Mapping[str, str]
    measures: Mapping[str, str]
    function: Callable[[Artifact, O], Report]
    preview: Callable[[Listing, O], Iterable[Finding]] | None = None
    """What names and sizes alone forbid, before a byte is read; see `preview`."""
    remedies: Mapping[str, tuple[Severity, str]] = field(default_factory=dict)
    """How grave a finding of a rule usually is, and what to do about it, for rules of which that is known beforehand."""

    def __call__(self, artifact: Artifact, options: O, /) -> Report:
        """Call the function."""
        return self.function(artifact, options)


def check(
    name: str,
    *,
    version: str,
    kinds: tuple[Kind, ...],
    options: type[O],
    rules: Mapping[str, str] | None = None,
    measures: Mapping[str, str] | None = None,
    preview: Callable[[Listing, O], Iterable[Finding]] | None = None,
    remedies: Mapping[str, tuple[Severity, str]] | None = None,
) -> Callable[[Callable[[Artifact, O], Report]], FunctionCheck[O]]:
    """Make a check of a function `(artifact, options) -> Report`."""

    def wrap(function: Callable[[Artifact, O], Report]) -> FunctionCheck[O]:
        return FunctionCheck(
            name=name, version=version, kinds=frozenset(kinds), options=options,
            rules=rules or {}, measures=measures or {}, function=function, preview=preview, remedies=remedies or {},
        )  # fmt: skip

    return wrap


def installed() -> dict[str, EntryPoint]:
    """Every registered check by name, none of them imported yet.

    Raises:
        UnknownCheck: two distributions claim one name. The last would win in silence, so neither does.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value)):
        if not _NAME.match(point.name):
            raise UnknownCheck(f"{_owner(point)} registers {point.name!r}, which is no check's name")
        other = found.setdefault(point.name, point)
        if other.value != point.value or _owner(other) != _owner(point):
            raise UnknownCheck(
                f"the check {point.name!r} is registered by both {_owner(other)} and {_owner(point)}",
                hint=f"uninstall one of them: pip uninstall {_owner(point)}",
            )
    return found


def load(name: str) -> Check[Any]:
    """Import the one check of that name, and nothing else.

    Raises:
        UnknownCheck: nobody registers it, or its module cannot be imported.
    """
    points = installed()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        known = ", ".join(sorted(points)) or "none: is the package installed?"
        raise UnknownCheck(
            f"no check is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            hint=f"installed checks: {known}",
        )
    try:
        loaded: Check[Any] = points[name].load()
    except (Exception, SystemExit) as error:  # third-party code: whatever goes wrong means there is no such check
        raise UnknownCheck(f"the check {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    if getattr(loaded, "name", None) != name:
        raise UnknownCheck(f"the check registered as {name!r} calls itself {getattr(loaded, 'name', None)!r}")
    asked = getattr(loaded, "options", None)
    if not (callable(loaded) and isinstance(asked, type) and issubclass(asked, Options)):
        raise UnknownCheck(f"what is registered as {name!r} is no check", hint="`pratique.checking.check` makes one")
    return loaded


def options_for(chosen: Check[Any], raw: Mapping[str, Any], setting: Setting | None = None) -> Options:
    """Validate options as a policy or a command line gives them.

    Raises:
        UsageError: an unknown option (with the nearest spelling), a wrong type, a file that is not there.
    """
    fields = chosen.options.model_fields
    for key in raw:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            raise UsageError(
                f"check {chosen.name!r} has no option {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
                hint=f"its options: {', '.join(fields) or 'none'}",
            )
    try:
        return chosen.options.model_validate(dict(raw), context=setting or Setting())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"check {chosen.name!r}, option {where or '?'}: {first['msg']}") from error
    except Error:
        raise
    except (Exception, SystemExit) as error:  # third-party validators
        raise UsageError(f"check {chosen.name!r} cannot read its options: {type(error).__name__}: {error}") from error


def run(chosen: Check[Any], artifact: Artifact, options: Options) -> Report:
    """Run one check behind the error boundary.

    Raises:
        CheckError: whatever went wrong inside; also if the check does not know this kind of artifact.
        ArtifactChanged: the check wrote into the private copy.
    """
    if artifact.kind not in chosen.kinds:
        known = ", ".join(sorted(chosen.kinds))
        raise CheckError(f"check {chosen.name!r} looks at a {known}, not at a {artifact.kind}")
    try:
        report = chosen(artifact, options)
    except Error:
        raise
    except ImportError as error:
        raise CheckUnavailable(f"check {chosen.name!r} needs {error.name or error}", hint=_extra(chosen.name)) from error
    except RecursionError as error:
        raise CheckError(f"check {chosen.name!r} ran out of stack on this artifact") from error
    except (Exception, SystemExit, GeneratorExit) as error:  # sys.exit(0) in a check would otherwise look like an admission
        raise CheckError(f"check {chosen.name!r} could not finish: {type(error).__name__}: {error}") from error
    _ensure_sound(chosen.name, report)
    artifact.ensure_unchanged()
    return report


def preview(chosen: Check[Any], found: Listing, options: Options) -> tuple[Finding, ...]:
    """What a check has against an artifact by its names and sizes alone, where reading it would cost more than it is worth.

    It can only refuse, and only spares work: whatever goes wrong here, the check itself says so once the bytes are there.
    """
    ask = getattr(chosen, "preview", None)
    try:
        return tuple(ask(found, options)) if ask is not None else ()
    except (Exception, SystemExit, GeneratorExit):
        return ()


def _ensure_sound(name: str, report: Any) -> None:
    """A report is what it says it is, to the last part: it will be signed, and read by others."""
    if not isinstance(report, Report):
        raise CheckError(f"check {name!r} returned {type(report).__name__}, not a Report")
    for one in report.findings:
        if not (isinstance(one, Finding) and isinstance(one.severity, Severity)):
            raise CheckError(f"check {name!r} reports {one!r:.80}, which is no finding")
        if not all(isinstance(text, str) for text in (one.rule, one.message, one.where, one.fix)):
            raise CheckError(f"check {name!r} reports a finding whose parts are not all text: {one!r:.80}")
    if not all(isinstance(one, Subject) for one in report.materials):
        raise CheckError(f"check {name!r} names a material that is no subject")
    try:
        texts = [text for one in report.findings for text in (one.rule, one.message, one.where, one.fix)]
        documents.canonical([texts, {str(key): float(value) for key, value in report.measures.items()}])
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckError(f"check {name!r} reports something that cannot be written down: {error}") from error


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


def _extra(name: str) -> str:
    extra = {"dataset": "data"}.get(name)
    return f"pip install 'pratique[{extra}]'" if extra else "install it beside pratique"
