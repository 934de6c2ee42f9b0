"""An operator for each check that ships with the package. Written by tools/operators.py: change the check's options instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pratique.operators.gates import CheckOperator

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = [
    "ScanArtifactOperator",
    "ValidateDatasetOperator",
    "VerifyIsolationOperator",
    "VerifyLineageOperator",
    "VerifyProvenanceOperator",
]


class ScanArtifactOperator(CheckOperator):
    """Whether any file can carry code, or is of a format that nobody asked for.

    The check `artifact` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`. There is no
    policy file that a relative path could be relative to, so give absolute ones.
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        formats: Sequence[str] = ("csv", "json", "parquet", "safetensors", "text"),
        pickle_packs: Sequence[str] = (),
        pickle_globals: Sequence[str] = (),
        code_files: Mapping[str, Any] | None = None,
        onnx_domains: Sequence[str] = (),
        templates: str = "refuse",
        second_opinions: Sequence[str] = (),
        max_json_bytes: int = 67108864,
        max_text_bytes: int = 67108864,
        kind: str = "model",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            formats: Formats that are allowed. `pickle`, `torch` (checkpoints) and `npy` (.npy and .npz) hold pickles: of
                plain data, and of what `pickle_packs` and `pickle_globals` allow. `torchscript` holds a program of operators
                that only compute. `archive` (zip, tar, and files compressed one by one) holds files, which are looked at like
                those beside it. `yaml` is configurations (Hydra, NeMo, MLflow's MLmodel), `xml` is PMML and OpenVINO.
            pickle_packs: Allow-lists for pickles: whatever they name may be imported. `torch` for state dicts, `sklearn` and
                `joblib` for estimators.
            pickle_globals: Single globals that pickles, skops and YAML may import, with their roles: `new acme.nets.Net`.
                Roles: call, new, ref, state, items, pairs.
            code_files: Programs that somebody has read, by their paths in the artifact, each with its digest:
                `{modeling_x.py: "sha256:..."}`. They pass as long as they are these to the last byte.
            onnx_domains: Domains of operators beside ONNX's own (`com.microsoft`), for runtimes that have these built in.
            templates: Jinja in JSON (`chat_template`) and in `.jinja` files: `refuse` it, or let pass what an allow-list has
                `vetted`.
            second_opinions: Other scanners to ask about each file that may hold a pickle, in the sandbox. What they say is
                only ever added; one that does not answer denies.
            max_json_bytes: Largest JSON document. Tokenizers of large vocabularies take about 35 MB.
            max_text_bytes: Largest text file. CSV and JSON Lines are bounded by the line instead.
            kind: what the artifact is: model or dataset.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        options: Mapping[str, Any] = {
            "formats": formats,
            "pickle_packs": pickle_packs,
            "pickle_globals": pickle_globals,
            "code_files": code_files,
            "onnx_domains": onnx_domains,
            "templates": templates,
            "second_opinions": second_opinions,
            "max_json_bytes": max_json_bytes,
            "max_text_bytes": max_text_bytes,
        }
        super().__init__(
            check="artifact", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip


class ValidateDatasetOperator(CheckOperator):
    """Drift, label noise, triggers, anomalies, duplicates, ranges and schema against a reference profile.

    The check `dataset` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`. There is no policy
    file that a relative path could be relative to, so give absolute ones.
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        profile: str,
        suite: str | None = None,
        false_alarm_rate: float = 0.01,
        min_rows: int = 50,
        must_detect: Sequence[str] = (),
        min_power: float = 0.8,
        kind: str = "dataset",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            profile: The reference profile, as `pratique profile` makes it of approved data. It names the label column, too.
            suite: A Great Expectations 1.x suite file. Without one, the suite that `pratique.suites.default` proposes for the
                profile.
            false_alarm_rate: Of the proposed suite: chance that a batch just like the reference fails. A suite file holds its
                own alphas.
            min_rows: Of the proposed suite: fewest rows. With less than some hundred rows little can be detected.
            must_detect: Poison that the suite must have been measured to find, each `kind=share`: `flipped-labels=0.02`.
                Else: inconclusive.
            min_power: How often it must have found that; the lower end of the measured 95 % interval counts.
            kind: what the artifact is: dataset.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        options: Mapping[str, Any] = {
            "profile": profile,
            "suite": suite,
            "false_alarm_rate": false_alarm_rate,
            "min_rows": min_rows,
            "must_detect": must_detect,
            "min_power": min_power,
        }
        super().__init__(
            check="dataset", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip


class VerifyIsolationOperator(CheckOperator):
    """Whether training can reach deployment, or deployment training: by rights, networks, storage, secrets or nodes.

    The check `isolation` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`. There is no
    policy file that a relative path could be relative to, so give absolute ones.
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        train: Sequence[str] = ("ml-train",),
        deploy: Sequence[str] = ("ml-deploy",),
        broker: Sequence[str] = ("ml-broker",),
        scope: str = "cluster",
        exceptions: Sequence[Mapping[str, Any]] = (),
        train_stores: Sequence[str] | None = None,
        pod_cidrs: Sequence[str] = (),
        known_groups: Sequence[str] = (),
        admission_policies: Sequence[str] = (),
        kubernetes: bool = True,
        airflow: Mapping[str, Any] | None = None,
        kind: str = "environment",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            train: Namespaces of training.
            deploy: Namespaces of deployment.
            broker: Namespaces of what promotes; they may reach both sides.
            scope: `cluster`: the description is all of a cluster, and what is missing denies. `rendering`: it is what a chart
                makes.
            exceptions: Breaches that somebody answers for: `rule`, `where` (exactly as the finding says it), `reason`,
                `owner`, `until`.
            train_stores: URI prefixes of buckets that training may write to. Unless it is said, any bucket that deployment
                reads is undecided.
            pod_cidrs: Addresses of pods. Unless they are said, a network policy that names addresses may mean pods.
            known_groups: API groups of custom resources that start no pods and hold no secrets, besides those that are known.
            admission_policies: Admission policies of your own that you reviewed, such as `lock=sha256:...`, besides those of
                the chart.
            kubernetes: Judge Kubernetes manifests. Turn it off only where the artifact describes nothing but Airflow.
            airflow: Judge two sides of Airflow: `train` and `deploy`, paths of JSON files inside the artifact.
            kind: what the artifact is: environment.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        options: Mapping[str, Any] = {
            "train": train,
            "deploy": deploy,
            "broker": broker,
            "scope": scope,
            "exceptions": exceptions,
            "train_stores": train_stores,
            "pod_cidrs": pod_cidrs,
            "known_groups": known_groups,
            "admission_policies": admission_policies,
            "kubernetes": kubernetes,
            "airflow": airflow,
        }
        super().__init__(
            check="isolation", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip


class VerifyLineageOperator(CheckOperator):
    """Whether somebody trusted recorded the training, and each base model and dataset in the record is cleared now.

    The check `lineage` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`. There is no policy
    file that a relative path could be relative to, so give absolute ones.
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        trainers: Sequence[str | Mapping[str, Any]],
        gates: Sequence[str | Mapping[str, Any]],
        base_policy: str | None = None,
        dataset_policy: str | None = None,
        require_base: bool = True,
        require_dataset: bool = True,
        kind: str = "model",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            trainers: Who may have recorded the training: names under the policy's `trust`, or files of public keys relative
                to the policy.
            gates: Who may have cleared the base model and the datasets: names or files of public keys.
            base_policy: The policy under which the base model must have been cleared. Without it, any policy that one of
                `gates` used counts.
            dataset_policy: The policy under which each dataset must have been cleared. Without it, any policy that one of
                `gates` used counts.
            require_base: Whether there must be a base model; one that is there must be cleared either way.
            require_dataset: Whether there must be a dataset; one that is there must be cleared either way.
            kind: what the artifact is: model.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        options: Mapping[str, Any] = {
            "trainers": trainers,
            "gates": gates,
            "base_policy": base_policy,
            "dataset_policy": dataset_policy,
            "require_base": require_base,
            "require_dataset": require_dataset,
        }
        super().__init__(
            check="lineage", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip


class VerifyProvenanceOperator(CheckOperator):
    """Whether a trusted publisher signed exactly these files (OpenSSF Model Signing v1.0, or the manifest of a dataset).

    The check `provenance` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`. There is no
    policy file that a relative path could be relative to, so give absolute ones.
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
        signers: Sequence[str | Mapping[str, Any]],
        signature: str = "model.sig",
        detached: str | None = None,
        allow: Sequence[str] = (),
        name: str | None = None,
        min_version: str | None = None,
        subject: str | None = None,
        max_signature_age: str | None = None,
        kind: str = "model",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
            artifact: a local path or any fsspec URI, or another task's output.
            signers: Who may have signed: names under the policy's `trust`, files of public keys relative to it, or entries as
                there.
            signature: Path of the signature inside the artifact. One whose name ends in `.manifest.sigstore.json` is that of
                a dataset's manifest (`pratique manifest sign`), any other one is of OpenSSF Model Signing.
            detached: File of a signature outside of the artifact, relative to the policy; `signature` is not looked for then.
            allow: What is accepted because the format accepts it: `empty-folders`, `ignored-paths`, `git-paths`, `unsigned-
                files` ...
            name: What the publisher must call it in the signature (by habit, the name of the folder that was signed).
            min_version: The oldest version to take, such as `1.4.0`, by what the publisher signed (`pratique sign
                --version`).
            subject: The one artifact to take, by the digest that `pratique digest` prints. It binds names and contents.
            max_signature_age: How long ago it may have been signed (ISO 8601, such as P90D), by a timestamp or a log; without
                either, it is too old.
            kind: what the artifact is: model or dataset.
            deny_at: the mildest finding that fails the task: note, low, medium, high or critical.
            enforcement: `enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.
            store: URI of the evidence store. Default: PRATIQUE_STORE.
            key: path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.
            kwargs: Airflow's own, such as `task_id` and `retries`.
        """
        options: Mapping[str, Any] = {
            "signers": signers,
            "signature": signature,
            "detached": detached,
            "allow": allow,
            "name": name,
            "min_version": min_version,
            "subject": subject,
            "max_signature_age": max_signature_age,
        }
        super().__init__(
            check="provenance", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip
