"""The record of a training run: what went in, what came out, signed by whoever trained.

    with training.record(base="models/base", datasets=["data/train"], output="models/tuned", parameters={"epochs": 3}) as run:
        weights = train(run.base.root, run.datasets[0].root)
        save(weights, run.output)
    run.subject         # what `models/tuned` now is
    run.record_digest   # names the record in the store, for the `lineage` check

In the order of the code:

1. Take private, hashed copies of the base model and the datasets; the training reads those and nothing else.
2. Let the user's own code train, into a private folder beside `output`.
3. Hash the copies again, and then what was made of them.
4. Sign the record (SLSA provenance v1) and store it.
5. Only then move the folder to `output`, in one step: whatever stands there is finished and recorded.

An exception in the user's code records nothing and leaves nothing at `output`. A record says what the trainer says. It cannot
see a training that reads something else besides, or that writes weights which it got elsewhere; so the trainer's key belongs
to a machine that runs reviewed training code, and is never the gate's.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pratique import artifacts, documents, settings, signing
from pratique.artifacts import Artifact, Limits, Subject, open_artifact
from pratique.errors import ArtifactError, Error, Malformed, StoreConflict, StoreError, UsageError
from pratique.signing import INTOTO, KeySigner, Signer, TrustedKey
from pratique.statements import TRANSFER_LEARNING, BuildType, Material, TrainingRecord
from pratique.store import Store

_NOT_YET = Subject(digest="sha256:" + "0" * 64)
_DEPTH = 32
"""Parameters may nest half as deep as a statement that is read back."""


@dataclass(slots=True, kw_only=True)
class Run:
    """A training run that is being recorded."""

    output: Path
    """An empty private folder; save the model here. It is moved to its place once it is recorded."""

    datasets: tuple[Artifact, ...]
    """Private copies of the datasets, in the order in which they were named."""

    subject: Subject | None = None
    """The model that was made; None until the run has been recorded."""

    record_digest: str = ""
    """Names the stored record; '' until then."""

    _base: Artifact | None = None

    @property
    def base(self) -> Artifact:
        """The private copy of the base model.

        Raises:
            UsageError: this run has none.
        """
        if self._base is None:
            raise UsageError("this run has no base model", hint="pass base= to training.record")
        return self._base


@contextmanager
def record(
    *,
    output: str | os.PathLike[str],
    base: str | os.PathLike[str] | None = None,
    datasets: Iterable[str | os.PathLike[str]] = (),
    signer: Signer | None = None,
    store: Store | None = None,
    run_id: str = "",
    parameters: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    build_type: BuildType = TRANSFER_LEARNING,
) -> Iterator[Run]:
    """Wrap the code that trains; on a clean exit, sign and store what went in and what came out.

    Args:
        output: local folder for the model. It must not exist yet, or be empty.
        base: the base model, a path or URI; None when training from scratch. The copy that a gate admitted is a path, too.
        datasets: paths or URIs of the datasets.
        signer: whose record it is. The key `keys/trainer.key` below PRATIQUE_HOME if left out, made on first use.
        store: where the record goes; `$PRATIQUE_STORE` if left out.
        run_id: names the pipeline run in the record.
        parameters: what the caller chose (epochs, learning rate ...), as JSON values.
        limits: how large each input and the output may be.
        build_type: what the record says was done; `neutralising` says something else than a training.

    Raises:
        UsageError: nothing goes in, `output` is taken, `parameters` are not JSON, the key is the gate's: all before any
            training. Also if the training saved nothing.
        ArtifactError: an input cannot be read; the output holds links or special files.
        ArtifactChanged: the training wrote into its inputs. Nothing is recorded.
        StoreError: the record could not be stored. What was trained is kept, and the hint says where.
    """
    signer = signer or signing.own_signer(settings.home() / "keys" / "trainer.key")
    store = store or Store()
    target = _free(output)
    _ensure_apart(signer)
    named = [datasets] if isinstance(datasets, (str, os.PathLike)) else list(datasets)
    given = named if base is None else [base, *named]
    if not given or "" in given:  # an empty template would otherwise mean the working directory
        raise UsageError("nothing goes into this training, or a path is empty", hint="pass base=, datasets= or both")

    model = None if base is None else open_artifact(base, kind="model", limits=limits)  # 1
    data = tuple(open_artifact(one, kind="dataset", limits=limits) for one in named)
    draft = _draft((*([model] if model else []), *data), target.name, signer, run_id, parameters or {}, build_type)
    folder = _staging(target)
    run = Run(output=folder, datasets=data, _base=model)
    try:
        yield run  # 2
        _ensure_trained(run)  # 3
    except BaseException:
        _remove(folder.parent)
        raise
    try:
        _keep(run, draft, target, signer, store, limits)  # 3, 4, 5
    except Error as error:
        kept = f"what was trained is kept, unrecorded, in {run.output}"
        error.hint = f"{error.hint}; {kept}" if error.hint else kept
        raise
    _remove(folder.parent)


def _free(output: str | os.PathLike[str]) -> Path:
    """Where the model will stand: an absolute path at which nothing stands yet."""
    if "://" in str(output):
        raise UsageError(f"{output} is not a local folder", hint="train into a local folder; promotion puts it elsewhere")
    target = Path(os.path.abspath(output))
    taken = os.path.lexists(target) and (target.is_symlink() or not target.is_dir() or any(target.iterdir()))
    if taken or not target.name:
        raise UsageError(f"{target} is taken; a model is never overwritten", hint="name a folder that is not there yet")
    return target


def _ensure_apart(signer: Signer) -> None:
    """A training that holds the gate's key could clear itself."""
    gate = settings.gate_key()
    known = set()
    with suppress(UsageError):  # not there, or not readable for a trainer, as it should be
        known.add(KeySigner.load(gate).trusted().fingerprint)
    with suppress(UsageError):
        known.add(TrustedKey.load("gate", gate.with_suffix(".pub")).fingerprint)
    if signing.mark(signer) in known:
        raise UsageError(
            f"the training would sign with the gate's own key ({gate})",
            hint="give the trainer a key of its own: pratique keys new trainer.key",
        )


def _draft(
    inputs: Iterable[Artifact], name: str, signer: Signer, run_id: str, parameters: Mapping[str, Any], build_type: BuildType
) -> TrainingRecord:  # fmt: skip
    """The record but for its subject. Written and read once for trial: better now than after hours of training."""
    started = datetime.now(timezone.utc)
    try:
        settled = documents.parse(documents.canonical(dict(parameters)), what="parameters", max_depth=_DEPTH)
        draft = TrainingRecord(
            subject=dataclasses.replace(_NOT_YET, name=name),
            materials=tuple(
                Material(role="base" if one.kind == "model" else "dataset", subject=one.subject, uri=one.pinned)
                for one in inputs
            ),
            parameters=settled, builder=f"urn:pratique:trainer:{signing.mark(signer)}", run_id=run_id,
            started_at=started, finished_at=started, build_type=build_type,
        )  # fmt: skip
        TrainingRecord.parse(draft.statement())
    except (TypeError, ValueError, RecursionError, Malformed) as error:
        raise UsageError(
            f"the training record could not be written: {error}",
            hint="parameters hold JSON values: numbers, texts, lists, mappings with text keys",
        ) from error
    return draft


def _staging(target: Path) -> Path:
    """An empty folder of the target's name, in one that only this user can enter, on the target's file system."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".training-", dir=target.parent)) / target.name
        folder.mkdir()
        return folder
    except OSError as error:
        raise ArtifactError(f"cannot write to {target.parent}: {error.strerror}") from error


def _ensure_trained(run: Run) -> None:
    for one in (run._base, *run.datasets):
        if one is not None:
            one.ensure_unchanged()
    if not any(path.is_file() for path in run.output.rglob("*")):
        raise UsageError("the training saved nothing", hint="save the model into `run.output`, not into `output`")


def _keep(run: Run, draft: TrainingRecord, target: Path, signer: Signer, store: Store, limits: Limits | None) -> None:
    """Hash, record, and only then move what was trained to its place."""
    digest = artifacts.digest_of(artifacts.scan(run.output, limits), is_file=False)
    subject = Subject(digest=digest, name=target.name)
    finished = dataclasses.replace(draft, subject=subject, finished_at=datetime.now(timezone.utc))
    try:
        bundle = signing.sign(finished.statement(), INTOTO, signer)
    except Exception as error:  # a token or a key service raises whatever its client library raises
        raise StoreError(f"the training record could not be signed: {type(error).__name__}: {error}") from error
    recorded = store.add("records", subject, bundle)
    try:
        _loosen(run.output)
        os.replace(run.output, target)
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreConflict(f"cannot move the model to {target}: {why}", hint="is something there by now?") from error
    run.output, run.subject, run.record_digest = target, subject, recorded


def _loosen(root: Path) -> None:
    """A folder that was copied from a sealed snapshot is read-only, and such a folder cannot be moved."""
    for folder, _, _ in os.walk(root):
        os.chmod(folder, os.stat(folder).st_mode | 0o700)


def _remove(work: Path) -> None:
    with suppress(OSError):
        _loosen(work)
    shutil.rmtree(work, ignore_errors=True)
