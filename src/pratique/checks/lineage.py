"""Whether a fine-tuned model was trained by somebody trusted, on a base model and datasets that were each cleared.

    with training.record(base="models/base", datasets=["data/train"], output="models/tuned") as run: ...
    pratique check lineage models/tuned -o trainers=trainer.pub -o gates=gate.pub

What it cannot see:

- A trainer that lies. Whoever holds the trainer's key can record any model as trained on anything; it must be a machine that
  runs reviewed code, and no gate.
- When a material was cleared. It must be cleared now, not at the time of the training: an expired clearance means that nobody
  has vouched for the material of late, and admitting it again is one command.
- What the base model itself was made of, unless `base_policy` asks for its lineage.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationInfo, field_validator, model_validator

from pratique import policy_files, settings
from pratique.artifacts import Artifact, Kind, Subject
from pratique.checking import Finding, Options, PolicyPath, Report, Setting, Severity, check
from pratique.clearing import ensure_clearance
from pratique.errors import EvidenceError, WrongSigner
from pratique.policies import Policy
from pratique.statements import NEUTRALISE, Clearance, Material, TrainingRecord, Vouched
from pratique.store import Store
from pratique.trust import Signers, revoked
from pratique.vouching import collect

RULES = {
    "no-training-record": "nobody trusted has recorded how this model was trained",
    "no-base": "the training record names no base model",
    "no-dataset": "the training record names no dataset",
    "base-not-cleared": "a base model that it was trained from is not cleared by a trusted gate now",
    "dataset-not-cleared": "a dataset that it was trained on is not cleared by a trusted gate now",
}

MEASURES = {
    "records": "training records about this model by somebody trusted",
    "materials": "base models and datasets in the best of them",
    "cleared_materials": "those that are cleared",
    "uncleared_materials": "those that are not",
    "hours_to_expiry": "whole hours until the first of the clearances lapses",
}

_KINDS: dict[str, Kind] = {"base": "model", "dataset": "dataset"}
_NOUNS = {"base": "base model", "dataset": "dataset"}
_UNTRAINED = "ask for datasets in the base_policy, of the model that went in, and here for require_dataset: false"
_SHOWN = 3
"""Reasons in one message."""


class LineageOptions(Options):
    """Whose records and whose clearances count."""

    trainers: Signers
    """Who may have recorded the training: names under the policy's `trust`, or files of public keys relative to the policy."""

    gates: Signers
    """Who may have cleared the base model and the datasets: names or files of public keys."""

    base_policy: PolicyPath | None = None
    """The policy under which the base model must have been cleared. Without it, any policy that one of `gates` used counts."""

    dataset_policy: PolicyPath | None = None
    """The policy under which each dataset must have been cleared. Without it, any policy that one of `gates` used counts."""

    require_base: bool = True
    """Whether there must be a base model; one that is there must be cleared either way."""

    require_dataset: bool = True
    """Whether there must be a dataset; one that is there must be cleared either way."""

    _store: str = PrivateAttr(default="")
    """Where records and clearances are. It surrounds the question and is no part of it: nothing in a store is trusted."""

    def model_post_init(self, context: Any, /) -> None:
        """Take the store from what surrounds the check."""
        self._store = context.store if isinstance(context, Setting) else ""

    @property
    def store(self) -> str:
        """URI of the evidence store; '' for this machine's own."""
        return self._store

    @field_validator("base_policy", "dataset_policy")
    @classmethod
    def _of_that_kind(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None:
            wanted = _KINDS[str(info.field_name).removesuffix("_policy")]
            try:
                found = policy_files.read(path.read_bytes(), str(path))[0].subject
            except OSError as error:
                raise ValueError(f"cannot read the policy {path}: {error.strerror}") from error
            if found != wanted:
                raise ValueError(f"{path} is a policy for a {found}, not for a {wanted}")
        return path

    @model_validator(mode="after")
    def _two_hats(self) -> LineageOptions:
        """A trainer who may also clear what he trains on needs nobody else to bring anything into production."""
        gates = {one.fingerprint: one.name for one in self.gates}
        if both := [one for one in self.trainers if one.fingerprint in gates]:
            raise ValueError(f"{both[0].name} is one of `trainers` and of `gates`; give each a key of its own")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trace:
    """Where one training record leads."""

    record: TrainingRecord
    findings: tuple[Finding, ...]
    expiries: tuple[datetime, ...]
    """When each material that is cleared ceases to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Office:
    """The clearances of a store, held against the options at one moment."""

    options: LineageOptions
    store: Store
    policies: dict[str, Policy]
    """By role; a role without one accepts any policy."""

    now: datetime

    @classmethod
    def of(cls, options: LineageOptions) -> _Office:
        paths = {"base": options.base_policy, "dataset": options.dataset_policy}
        policies = {role: Policy.load(path) for role, path in paths.items() if path is not None}
        return cls(options=options, store=Store(options.store), policies=policies, now=datetime.now(timezone.utc))

    def trace(self, record: TrainingRecord) -> _Trace:
        """Look up every material of a record."""
        findings, expiries = list(self._absent(record)), []
        for material in dict.fromkeys(record.materials):
            found = self._cleared_until(material)
            if isinstance(found, datetime):
                expiries.append(found)
            else:
                findings.append(self._not_cleared(material, found))
        return _Trace(record=record, findings=tuple(findings), expiries=tuple(expiries))

    def _absent(self, record: TrainingRecord) -> list[Finding]:
        roles = {one.role for one in record.materials}
        required = {"base": self.options.require_base, "dataset": self.options.require_dataset}
        written = record.build_type == NEUTRALISE  # it says what a model was written from, never on what it was trained
        what = "the record is of a model that was written again, not trained; it" if written else "the training record"
        return [
            Finding(
                rule=f"no-{role}",
                severity=Severity.HIGH,
                message=f"{what} names no {_NOUNS[role]}",
                fix=_UNTRAINED if written else f"pass it to training.record, or set require_{role} to false if there was none",
            )
            for role, needed in required.items()
            if needed and role not in roles
        ]

    def _cleared_until(self, material: Material) -> datetime | list[str]:
        """How long a material stays cleared; or why none of the clearances there are clears it."""
        seen = collect(self.store, "clearances", material.subject, self.options.gates, Clearance.parse)
        reasons, good = [], []
        for one in sorted(seen.vouched, key=lambda one: one.statement.made_at, reverse=True):
            try:
                self._ensure(one, material)
            except EvidenceError as error:
                reasons.append(str(error))
            else:
                good.append(one.statement.expires)
        return max(good) if good else [*reasons, *seen.refused]

    def _ensure(self, vouched: Vouched[Clearance], material: Material) -> None:
        policy, found = self.policies.get(material.role), vouched.statement.kind
        if found != _KINDS[material.role]:
            raise EvidenceError(f"it was cleared as a {found}, not as a {_KINDS[material.role]}")
        ensure_clearance(
            vouched,
            material.subject,
            now=self.now,
            revoked=revoked(self.options.gates),
            policy_digest=policy.digest if policy else "",
        )

    def _not_cleared(self, material: Material, reasons: list[str]) -> Finding:
        why = _several(reasons) or "nobody ever cleared it"
        name = f"{material.subject.name} ({material.subject.digest[:19]}…)"
        return Finding(
            rule=f"{material.role}-not-cleared",
            severity=Severity.CRITICAL,
            message=f"the {_NOUNS[material.role]} {name} is not cleared: {why}",
            where=material.uri,
            fix=self._command(material),
        )

    def _command(self, material: Material) -> str:
        policy = self.policies.get(material.role)
        under = ["--policy", policy.file] if policy else ["--kind", _KINDS[material.role]]
        there = [] if self.store.uri == settings.store_uri() else ["--store", self.store.shown]
        return "admit it, then check again: " + shlex.join(["pratique", "gate", material.uri, *under, *there])


@check("lineage", version="1", kinds=("model",), options=LineageOptions, rules=RULES, measures=MEASURES)
def lineage(artifact: Artifact, options: LineageOptions) -> Report:
    """Whether somebody trusted recorded the training, and each base model and dataset in the record is cleared now.

    In the order of the code: collect the records about this very digest that a trusted trainer signed; look up the clearances
    of every material of each; report on the record that has the least against it. One good record is enough.
    """
    office = _Office.of(options)
    seen = collect(office.store, "records", artifact.subject, options.trainers, TrainingRecord.parse)
    records, refused = [], list(seen.refused)
    for one in seen.vouched:
        try:
            _ensure_builder(one)
        except WrongSigner as error:
            refused.append(str(error))
        else:
            records.append(one.statement)
    if not records:
        return Report(findings=(_nobody(refused, office.store),), measures={"records": 0.0})
    best = min(map(office.trace, records), key=lambda one: (len(one.findings), -one.record.finished_at.timestamp()))
    return Report(
        findings=best.findings, measures=_measures(best, len(records), office.now), materials=_materials(best, office)
    )


def _ensure_builder(vouched: Vouched[TrainingRecord]) -> None:
    builder = vouched.statement.builder
    if builder.removeprefix("urn:pratique:trainer:") not in vouched.actors:
        raise WrongSigner(f"the record names {builder} as its trainer, whose trusted key did not sign it")


def _nobody(refused: list[str], store: Store) -> Finding:
    why = f": {_several(refused)}" if refused else f"; {store.shown} holds no record about it"
    return Finding(
        rule="no-training-record",
        severity=Severity.CRITICAL,
        message=f"nobody trusted has recorded how this model was trained{why}",
        fix="train within pratique.training.record, with the key of one of `trainers`; do not touch the model afterwards",
    )


def _measures(best: _Trace, records: int, now: datetime) -> dict[str, float]:
    materials = len(dict.fromkeys(best.record.materials))
    cleared = len(best.expiries)
    measures = {
        "records": float(records),
        "materials": float(materials),
        "cleared_materials": float(cleared),
        "uncleared_materials": float(materials - cleared),
    }
    if best.expiries:
        measures["hours_to_expiry"] = float(math.floor((min(best.expiries) - now).total_seconds() / 3600))
    return measures


def _materials(best: _Trace, office: _Office) -> tuple[Subject, ...]:
    """What went in, and the policies under which it had to be cleared."""
    policies = (Subject(digest=one.digest, name=Path(one.file).name) for one in office.policies.values())
    return (*(one.subject for one in dict.fromkeys(best.record.materials)), *policies)


def _several(reasons: list[str]) -> str:
    more = len(reasons) - _SHOWN
    return "; ".join(reasons[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
