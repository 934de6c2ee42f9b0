"""Whether the files of an artifact can carry code, found out without loading any of them.

    pratique check artifact models/base
    pratique check artifact data --kind dataset --option formats='["parquet"]'

Content decides what a file is; its name must agree. What passes is data by construction: safetensors whose tensors tile the
file, JSON and text with a bounded size, CSV, Parquet by its outline. Pickles, PyTorch checkpoints and NumPy arrays pass only
when asked for, and hold plain data and what the allow-lists of the policy name:

    options: {formats: [json, text, torch], pickle_packs: [torch]}                   # state dicts
    options: {formats: [json, pickle, npy], pickle_packs: [joblib, sklearn]}         # estimators
    options: {formats: [gguf, keras, onnx, savedmodel, text], templates: vetted}     # models of other frameworks

TorchScript, skops, YAML, XML and archives of any files pass when asked for, too, each by rules of its own; programs that
somebody has read pass by their digests. Everything else is refused, known or unknown.

What it does not see: what numbers do (that is for other checks); bugs in the readers of accepted formats, in PyTorch's
operators, and in the classes that an allow-list names; columns and pages of Parquet (its footer is not decoded); formulas in
CSV cells that a spreadsheet would run; the meaning of text; loaders that give a meaning to keys of JSON which `references`
does not list, or to keys of YAML which `yamls` does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, field_serializer, field_validator

from pratique.artifacts import Artifact
from pratique.checking import Finding, Options, Report, Severity, check
from pratique.checks.artifact import companions, packs, second_opinions
from pratique.checks.artifact.granting import grants, parsed
from pratique.checks.artifact.looking import Asked, look
from pratique.checks.artifact.rules import RULES, finding
from pratique.checks.artifact.viewing import opened

FormatName = Literal[
    "archive", "csv", "gguf", "hdf5", "json", "keras", "npy", "onnx", "parquet", "pickle", "safetensors", "savedmodel",
    "skops", "text", "tflite", "torch", "torchscript", "xml", "yaml",
]  # fmt: skip
PackName = Literal[
    "joblib", "lightgbm", "numpy", "sklearn", "scipy", "stdlib-data", "torch", "torch-modules", "transformers", "ultralytics",
    "xgboost",
]  # fmt: skip
ToolName = Literal["picklescan"]

MEANINGS = {name: rule.meaning for name, rule in RULES.items()}
REMEDIES = {name: (rule.severity, rule.fix) for name, rule in RULES.items()}

MEASURES = {
    "files": "files in the artifact",
    "bytes": "bytes of all files together",
    "recognised_files": "files whose content and name agree on one of the formats that were asked for",
    "refused_files": "files with a finding of medium severity or above",
    "tensors": "tensors in safetensors and other files of tensors alone",
    "parameters": "numbers in all of these tensors",
    "pickle_globals": "imports in pickles, also in those within archives",
    "second_opinions": "answers of other scanners that `second_opinions` names, one for each file that may hold a pickle",
}

MAX_FINDINGS = 25
"""Listed for one file; and eight times as many for the artifact."""


class ArtifactOptions(Options):
    """What may be in an artifact."""

    formats: tuple[FormatName, ...] = Field(default=("csv", "json", "parquet", "safetensors", "text"), min_length=1)
    """Formats that are allowed. `pickle`, `torch` (checkpoints) and `npy` (.npy and .npz) hold pickles: of plain data, and of
    what `pickle_packs` and `pickle_globals` allow. `torchscript` holds a program of operators that only compute.
    `archive` (zip, tar, and files compressed one by one) holds files, which are looked at like those beside it. `yaml` is
    configurations (Hydra, NeMo, MLflow's MLmodel), `xml` is PMML and OpenVINO."""

    pickle_packs: tuple[PackName, ...] = ()
    """Allow-lists for pickles: whatever they name may be imported. `torch` for state dicts, `sklearn` and `joblib` for
    estimators."""

    pickle_globals: tuple[str, ...] = Field(default=(), max_length=1_000)
    """Single globals that pickles, skops and YAML may import, with their roles: `new acme.nets.Net`. Roles: call, new, ref,
    state, items, pairs."""

    code_files: dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] = Field(
        default_factory=dict, max_length=1_000
    )
    """Programs that somebody has read, by their paths in the artifact, each with its digest: `{modeling_x.py: "sha256:..."}`.
    They pass as long as they are these to the last byte."""

    onnx_domains: tuple[Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")], ...] = Field(default=(), max_length=100)
    """Domains of operators beside ONNX's own (`com.microsoft`), for runtimes that have these built in."""

    templates: Literal["refuse", "vetted"] = "refuse"
    """Jinja in JSON (`chat_template`) and in `.jinja` files: `refuse` it, or let pass what an allow-list has `vetted`."""

    second_opinions: tuple[ToolName, ...] = ()
    """Other scanners to ask about each file that may hold a pickle, in the sandbox. What they say is only ever added; one that
    does not answer denies."""

    max_json_bytes: int = Field(default=64 << 20, ge=1, le=1 << 30)
    """Largest JSON document. Tokenizers of large vocabularies take about 35 MB."""

    max_text_bytes: int = Field(default=64 << 20, ge=1, le=1 << 30)
    """Largest text file. CSV and JSON Lines are bounded by the line instead."""

    @field_validator("formats")
    @classmethod
    def _sort(cls, formats: tuple[FormatName, ...]) -> tuple[FormatName, ...]:
        """Two lists of the same formats ask the same question."""
        return tuple(sorted(set(formats)))

    @field_validator("onnx_domains")
    @classmethod
    def _sort_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(domains)))

    @field_validator("pickle_packs")
    @classmethod
    def _sort_packs(cls, names: tuple[PackName, ...]) -> tuple[PackName, ...]:
        return tuple(sorted(set(names)))

    @field_validator("second_opinions")
    @classmethod
    def _sort_tools(cls, names: tuple[ToolName, ...]) -> tuple[ToolName, ...]:
        return tuple(sorted(set(names)))

    @field_validator("pickle_globals")
    @classmethod
    def _ensure_lines(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            parsed(line)
        return tuple(sorted(set(lines)))

    @field_serializer("pickle_packs", when_used="json")
    def _bind(self, names: tuple[PackName, ...]) -> list[str]:
        """A pack with other content is another question."""
        return [f"{name}@{packs.pack(name).digest}" for name in names]


@check(
    "artifact", version="3", kinds=("model", "dataset"), options=ArtifactOptions, rules=MEANINGS, measures=MEASURES,
    remedies=REMEDIES,
)  # fmt: skip
def artifact(artifact: Artifact, options: ArtifactOptions) -> Report:
    """Whether any file can carry code, or is of a format that nobody asked for."""
    chosen = options.model_dump(exclude={"pickle_packs", "pickle_globals", "second_opinions"})
    beside = {entry.path: entry.size for entry in artifact.entries}
    described = companions.described(artifact, options.formats)
    asked = Asked(**chosen, described=described, grants=grants(options.pickle_packs, options.pickle_globals))
    findings = _List(8 * MAX_FINDINGS, "")
    counts: Counter[str] = Counter(dict.fromkeys(MEASURES, 0))
    for entry in artifact.entries:
        if entry.path.endswith("/"):  # an empty directory
            continue
        with opened(artifact.path(entry), entry.path, beside) as view:
            sight, others = look(view, asked), second_opinions.heard(view, options.second_opinions)
        found = (*sight.findings, *others.findings)
        counts.update(sight.counts)
        counts.update(others.counts)
        counts.update(files=1, bytes=entry.size, refused_files=int(any(f.severity >= Severity.MEDIUM for f in found)))
        findings.add(_List(MAX_FINDINGS, entry.path).add(found).all())
    return Report(findings=findings.all(), measures={name: float(count) for name, count in counts.items()})


class _List:
    """As many findings as people read and a statement holds; the rest as one that is as grave as the gravest of them."""

    def __init__(self, most: int, where: str) -> None:
        self._most, self._where = most, where
        self._listed: list[Finding] = []
        self._rest: Counter[str] = Counter()
        self._worst = Severity.NOTE

    def add(self, findings: Iterable[Finding]) -> _List:
        for one in findings:
            if len(self._listed) < self._most:
                self._listed.append(one)
            else:
                self._rest[one.rule] += 1
                self._worst = max(self._worst, one.severity)
        return self

    def all(self) -> tuple[Finding, ...]:
        if not self._rest:
            return tuple(self._listed)
        rules = ", ".join(f"{count:,} {rule}" for rule, count in sorted(self._rest.items()))
        last = finding("more-findings", self._where, f"more was found than is listed: {rules}", severity=self._worst)
        return (*self._listed, last)
