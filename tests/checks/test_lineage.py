"""A model's training record, and the clearances of what went in. Attacks on a store to which anybody may write."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pratique import checking, documents, signing, training
from pratique.artifacts import Artifact, Kind, Subject, open_artifact
from pratique.checking import Report, Setting, Severity
from pratique.checks.lineage import LineageOptions, lineage
from pratique.errors import CheckError, PolicyError, StoreError, UsageError
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Material, TrainingRecord
from pratique.store import Store
from pratique.testing import assert_check_contract, folder_of

TRAINER, GATE, OTHER, MALLORY = (KeySigner.generate() for _ in range(4))
TRUST = {"trainer": TRAINER.trusted("trainer"), "gate": GATE.trusted("gate"), "other": OTHER.trusted("other")}
ANY_POLICY = "sha256:" + "5" * 64
EVERYBODY = Setting(trust={**TRUST, "mallory": MALLORY.trusted("mallory")})
WHO: dict[str, Any] = {"trainers": ["trainer"], "gates": ["gate"]}
POLICY = """
version: 1
subject: {kind}
trust:
  gate: {{key: gate.pub}}
require:
  shape: {{measures: {{files: {{max: {most}}}}}}}
"""


@dataclass
class Yard:
    """A trained model, its record in the store, and clearances as a test asks for."""

    root: Path
    store: Store
    base: Artifact
    data: Artifact
    model: Artifact
    now: datetime

    def clear(self, subject: Subject, kind: Kind = "model", by: KeySigner = GATE, **changes: Any) -> None:
        """Put a clearance into the store, as a gate would."""
        one = Clearance(
            subject=subject, kind=kind, verifier=f"urn:pratique:gate:{by.trusted().fingerprint}", resource_uri="models/base",
            policy_digest=ANY_POLICY, evidence=(ANY_POLICY,), levels=("PRATIQUE_SHAPE",), made_at=self.now,
            expires=self.now + timedelta(days=7),
        )  # fmt: skip
        statement = replace(one, **changes).statement()
        self.store.add("clearances", subject, signing.sign(statement, INTOTO, by))

    def record(self, *materials: Material, by: KeySigner = TRAINER, **changes: Any) -> None:
        """Put a training record into the store."""
        one = TrainingRecord(
            subject=self.model.subject, materials=materials, parameters={}, run_id="", started_at=self.now,
            builder=f"urn:pratique:trainer:{by.trusted().fingerprint}", finished_at=self.now,
        )  # fmt: skip
        self.store.add("records", self.model.subject, signing.sign(replace(one, **changes).statement(), INTOTO, by))

    def look(self, setting: Setting | None = None, **options: Any) -> Report:
        """What the check says about the model."""
        setting = setting or Setting(base=self.root, store=self.store.uri, trust=TRUST)
        return checking.run(lineage, self.model, checking.options_for(lineage, {**WHO, **options}, setting))

    def instead(self, model: Artifact) -> Yard:
        """The same yard with another model in the trained one's place."""
        return replace(self, model=model)


@pytest.fixture
def yard(tmp_path: Path, store: Store) -> Yard:
    """An honest training, of which nothing has been cleared yet."""
    base = folder_of(tmp_path / "base", {"weights.bin": b"base"})
    data = folder_of(tmp_path / "data", {"rows.csv": b"a\n1\n"})
    with training.record(base=base, datasets=[data], output=tmp_path / "tuned", signer=TRAINER, store=store) as run:
        (run.output / "weights.bin").write_bytes(b"tuned")
    return Yard(
        root=tmp_path, store=store, base=open_artifact(base), data=open_artifact(data, kind="dataset"),
        model=open_artifact(tmp_path / "tuned"), now=datetime.now(timezone.utc),
    )  # fmt: skip


@pytest.fixture
def cleared(yard: Yard) -> Yard:
    """The same, and both materials are cleared."""
    yard.clear(yard.base.subject)
    yard.clear(yard.data.subject, "dataset")
    return yard


def rules(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


def message(report: Report, rule: str) -> str:
    (finding,) = (one for one in report.findings if one.rule == rule)
    assert finding.severity >= Severity.HIGH and finding.fix
    return finding.message


# --- the honest chain ---------------------------------------------------------------------------------------------------


def test_an_honest_chain(cleared: Yard) -> None:
    report = cleared.look()
    assert report.findings == ()
    assert report.measures == {
        "records": 1, "materials": 2, "cleared_materials": 2, "uncleared_materials": 0, "hours_to_expiry": 7 * 24 - 1,
    }  # fmt: skip
    assert report.materials == (cleared.base.subject, cleared.data.subject)


def test_the_first_clearance_to_lapse_counts(cleared: Yard) -> None:
    later, sooner = cleared.now + timedelta(days=9), cleared.now + timedelta(hours=5, minutes=30)
    cleared.clear(cleared.base.subject, expires=later)  # renewed; the old one does not shorten it
    assert cleared.look().measures["hours_to_expiry"] == 7 * 24 - 1
    other = Material(role="dataset", subject=Subject(digest="sha256:" + "7" * 64), uri="more")
    cleared.clear(other.subject, "dataset", expires=sooner)
    cleared.record(*materials(cleared), other, finished_at=cleared.now + timedelta(seconds=1))
    assert cleared.look().measures == {
        "records": 2, "materials": 3, "cleared_materials": 3, "uncleared_materials": 0, "hours_to_expiry": 5,
    }  # fmt: skip


def materials(yard: Yard) -> tuple[Material, Material]:
    return (
        Material(role="base", subject=yard.base.subject, uri="models/base"),
        Material(role="dataset", subject=yard.data.subject, uri="data"),
    )


def test_the_contract_of_checks(cleared: Yard, tmp_path: Path) -> None:
    setting = Setting(store=cleared.store.uri, trust=TRUST)
    report = assert_check_contract(lineage, good=tmp_path / "tuned", work=tmp_path / "work", options=WHO, setting=setting)
    assert report == cleared.look()


def test_one_good_record_is_enough(cleared: Yard) -> None:
    cleared.record()
    cleared.record(Material(role="base", subject=Subject(digest="sha256:" + "9" * 64), uri="x"))
    report = cleared.look()
    assert report.findings == () and report.measures["records"] == 3


# --- the record ---------------------------------------------------------------------------------------------------------


def test_no_record(cleared: Yard, tmp_path: Path) -> None:
    other = open_artifact(folder_of(tmp_path / "other", {"weights.bin": b"from elsewhere"}))
    report = cleared.instead(other).look()
    assert rules(report) == ["no-training-record"] and report.measures == {"records": 0}
    assert "holds no record" in message(report, "no-training-record")


def test_the_model_was_changed_after_the_training(cleared: Yard, tmp_path: Path) -> None:
    (tmp_path / "tuned" / "weights.bin").write_bytes(b"tuneD")
    assert rules(cleared.instead(open_artifact(tmp_path / "tuned")).look()) == ["no-training-record"]


def test_a_record_of_another_model_is_replayed(cleared: Yard, tmp_path: Path) -> None:
    trojan = open_artifact(folder_of(tmp_path / "trojan", {"weights.bin": b"trojan"}))
    for _, bundle in cleared.store.read("records", cleared.model.subject):
        cleared.store.add("records", trojan.subject, bundle)
    assert "replayed for another artifact" in message(cleared.instead(trojan).look(), "no-training-record")


def test_a_record_by_somebody_else(yard: Yard, tmp_path: Path) -> None:
    yard.clear(yard.base.subject)
    yard.clear(yard.data.subject, "dataset")
    trojan = yard.instead(open_artifact(folder_of(tmp_path / "trojan", {"weights.bin": b"trojan"})))
    trojan.record(*materials(yard), by=MALLORY)
    assert "signed by nobody who is trusted" in message(trojan.look(), "no-training-record")


def test_somebody_else_is_the_trainer(cleared: Yard) -> None:
    assert rules(cleared.look(trainers=["other"])) == ["no-training-record"]


@pytest.mark.parametrize("hats", [{"trainers": ["gate"]}, {"trainers": ["trainer", "other"], "gates": ["gate", "other"]}])
def test_a_trainer_who_may_also_clear_what_he_trains_on(cleared: Yard, hats: dict[str, list[str]]) -> None:
    with pytest.raises(UsageError, match="give each a key of its own"):
        cleared.look(**hats)


@pytest.mark.parametrize("what", ["base", "data", "clearance"])
def test_a_material_or_its_clearance_was_revoked_since(cleared: Yard, what: str) -> None:
    subject = cleared.data.subject if what == "data" else cleared.base.subject
    ((_, bundle),) = cleared.store.read("clearances", subject)
    gone = documents.sha256(bundle) if what == "clearance" else subject.digest
    for mark, expected in ((gone, True), ("sha256:" + "9" * 64, False)):
        trust = {name: one.renamed(name, frozenset({mark})) for name, one in TRUST.items()}
        report = cleared.look(Setting(base=cleared.root, store=cleared.store.uri, trust=trust))
        assert ("revoked" in "".join(one.message for one in report.findings)) is expected
        assert bool(report.findings) is expected


def test_a_record_that_names_another_trainer(yard: Yard, tmp_path: Path) -> None:
    trojan = yard.instead(open_artifact(folder_of(tmp_path / "trojan", {"weights.bin": b"trojan"})))
    trojan.record(*materials(yard), builder=f"urn:pratique:trainer:{MALLORY.trusted().fingerprint}")
    assert "whose trusted key did not sign it" in message(trojan.look(), "no-training-record")


def edit(yard: Yard, shelf: Any, subject: Subject, change: Callable[[dict[str, Any]], None], *, rename: bool) -> None:
    """Change a statement within its bundle, keep its signature, and put it back under its old name or a fitting one."""
    ((path, bundle),) = yard.store.read(shelf, subject)
    document = json.loads(bundle)
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(statement)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    file = Path(yard.store.uri) / path
    file.unlink()
    if rename:
        yard.store.add(shelf, subject, json.dumps(document).encode())
    else:
        file.write_bytes(json.dumps(document).encode())


@pytest.mark.parametrize("rename", [True, False])
def test_an_edited_record(cleared: Yard, rename: bool) -> None:
    def change(statement: dict[str, Any]) -> None:
        statement["predicate"]["buildDefinition"]["externalParameters"]["epochs"] = 1

    edit(cleared, "records", cleared.model.subject, change, rename=rename)
    report = cleared.look()
    assert ("it was changed" if rename else "not the ones that its name promises") in message(report, "no-training-record")


@pytest.mark.parametrize("data", [b"", b"{", b"\x00" * 100, b"[" * 10_000, b'{"a": 1, "a": 2}'])
def test_rubbish_among_the_records(cleared: Yard, data: bytes) -> None:
    cleared.store.add("records", cleared.model.subject, data)
    assert cleared.look().findings == ()
    only = open_artifact(folder_of(cleared.root / "only", {"weights.bin": b"only rubbish"}))
    cleared.store.add("records", only.subject, data)
    assert rules(cleared.instead(only).look()) == ["no-training-record"]


def test_provenance_of_another_kind_is_no_record(yard: Yard) -> None:
    ((path, bundle),) = yard.store.read("records", yard.model.subject)
    statement = json.loads(signing.parse_bundle(bundle)[0].payload)
    statement["predicate"]["buildDefinition"]["buildType"] = "https://actions.github.io/buildtypes/workflow/v1"
    (Path(yard.store.uri) / path).unlink()
    yard.store.add("records", yard.model.subject, signing.sign(json.dumps(statement).encode(), INTOTO, TRAINER))
    assert "buildType" in message(yard.look(), "no-training-record")


# --- roles --------------------------------------------------------------------------------------------------------------


def scratch(yard: Yard, *which: Material) -> Yard:
    """Another model, with a record that names only these materials."""
    other = yard.instead(open_artifact(folder_of(yard.root / "scratch", {"weights.bin": b"scratch"})))
    other.record(*which)
    return other


def test_a_record_without_a_dataset(cleared: Yard) -> None:
    merged = scratch(cleared, materials(cleared)[0])
    report = merged.look()
    assert rules(report) == ["no-dataset"] and "names no dataset" in message(report, "no-dataset")
    assert merged.look(require_dataset=False).findings == ()


def test_a_record_without_a_base(cleared: Yard) -> None:
    new = scratch(cleared, materials(cleared)[1])
    assert rules(new.look()) == ["no-base"]
    assert new.look(require_base=False).findings == ()


def test_a_record_of_nothing(cleared: Yard) -> None:
    report = scratch(cleared).look()
    assert rules(report) == ["no-base", "no-dataset"]
    assert report.measures == {"records": 1, "materials": 0, "cleared_materials": 0, "uncleared_materials": 0}


def test_what_is_not_required_must_still_be_cleared(yard: Yard) -> None:
    assert rules(yard.look(require_base=False, require_dataset=False)) == ["base-not-cleared", "dataset-not-cleared"]


# --- clearances ---------------------------------------------------------------------------------------------------------


def test_nothing_was_ever_cleared(yard: Yard) -> None:
    report = yard.look()
    assert rules(report) == ["base-not-cleared", "dataset-not-cleared"]
    assert report.measures == {"records": 1, "materials": 2, "cleared_materials": 0, "uncleared_materials": 2}
    base, data = report.findings
    assert "nobody ever cleared it" in base.message and base.severity is Severity.CRITICAL
    assert f"pratique gate {yard.root}/base --kind model" in base.fix and yard.store.uri in base.fix
    assert f"pratique gate {yard.root}/data --kind dataset" in data.fix and data.where == f"{yard.root}/data"


def test_only_the_dataset_was_cleared(yard: Yard) -> None:
    yard.clear(yard.data.subject, "dataset")
    assert rules(yard.look()) == ["base-not-cleared"]


def test_one_of_two_datasets_was_not_cleared(cleared: Yard) -> None:
    more = Material(role="dataset", subject=Subject(digest="sha256:" + "7" * 64, name="more"), uri="s3://bucket/it's more")
    report = scratch(cleared, *materials(cleared), more).look()
    assert "the dataset more (sha256:777" in message(report, "dataset-not-cleared")
    assert "'s3://bucket/it'\"'\"'s more'" in report.findings[0].fix  # to be pasted into a shell


def test_an_expired_clearance(yard: Yard) -> None:
    yard.clear(yard.data.subject, "dataset")
    yard.clear(yard.base.subject, made_at=yard.now - timedelta(days=8), expires=yard.now - timedelta(seconds=1))
    report = yard.look()
    assert rules(report) == ["base-not-cleared"] and "the clearance held from" in report.findings[0].message
    yard.clear(yard.base.subject)
    assert yard.look().findings == ()


def test_a_clearance_from_the_future(yard: Yard) -> None:
    yard.clear(yard.data.subject, "dataset")
    yard.clear(yard.base.subject, made_at=yard.now + timedelta(hours=1))
    assert rules(yard.look()) == ["base-not-cleared"]


def test_a_clearance_by_somebody_else(yard: Yard) -> None:
    yard.clear(yard.data.subject, "dataset")
    yard.clear(yard.base.subject, by=MALLORY)
    assert "signed by nobody who is trusted" in message(yard.look(), "base-not-cleared")


def test_the_trainer_is_no_gate(yard: Yard) -> None:
    yard.clear(yard.base.subject, by=TRAINER)
    yard.clear(yard.data.subject, "dataset", by=TRAINER)
    assert rules(yard.look()) == ["base-not-cleared", "dataset-not-cleared"]


def test_a_clearance_in_the_gates_name_by_somebody_else_who_is_trusted(yard: Yard) -> None:
    yard.clear(yard.data.subject, "dataset")
    yard.clear(yard.base.subject, by=OTHER, verifier=f"urn:pratique:gate:{GATE.trusted().fingerprint}")
    assert "whose trusted key did not sign it" in message(yard.look(gates=["gate", "other"]), "base-not-cleared")


def test_the_clearance_of_a_dataset_for_a_base(yard: Yard) -> None:
    yard.clear(yard.base.subject, "dataset")
    yard.clear(yard.data.subject, "model")
    report = yard.look()
    assert "cleared as a dataset, not as a model" in message(report, "base-not-cleared")
    assert "cleared as a model, not as a dataset" in message(report, "dataset-not-cleared")


def test_a_clearance_of_another_artifact_is_replayed(cleared: Yard) -> None:
    poisoned = Material(role="dataset", subject=Subject(digest="sha256:" + "6" * 64), uri="poisoned")
    for _, bundle in cleared.store.read("clearances", cleared.data.subject):
        cleared.store.add("clearances", poisoned.subject, bundle)
    report = scratch(cleared, materials(cleared)[0], poisoned).look()
    assert "replayed for another artifact" in message(report, "dataset-not-cleared")


def test_an_edited_clearance(cleared: Yard) -> None:
    def change(statement: dict[str, Any]) -> None:
        statement["predicate"]["pratique"]["expires"] = "2100-01-01T00:00:00Z"

    edit(cleared, "clearances", cleared.base.subject, change, rename=True)
    assert "it was changed" in message(cleared.look(), "base-not-cleared")


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_byte_makes_a_clearance(yard: Yard, data: st.DataObject) -> None:
    """An expired clearance stays one, whatever a single byte in the store turns into."""
    shelf = Path(yard.store.uri) / "clearances" / "sha256" / yard.base.subject.hex
    for path in shelf.glob("*"):
        path.unlink()
    yard.clear(yard.base.subject, made_at=yard.now - timedelta(days=8), expires=yard.now - timedelta(days=1))
    (path,) = shelf.iterdir()
    bundle = bytearray(path.read_bytes())
    # A fraction of its length: signatures differ in length, and what is drawn must not depend on that.
    bundle[int(data.draw(st.floats(0, 1, exclude_max=True)) * len(bundle))] = data.draw(st.integers(0, 255))
    path.unlink()
    yard.store.add("clearances", yard.base.subject, bytes(bundle))
    assert "base-not-cleared" in rules(yard.look())


def test_many_clearances_of_no_use_stay_readable(yard: Yard) -> None:
    for number in range(20):
        yard.clear(yard.base.subject, "dataset", run_id=str(number))
    text = message(yard.look(), "base-not-cleared")
    assert "and 17 more" in text and len(text) < 600


# --- policies -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def policies(cleared: Yard, shape: str, tmp_path: Path) -> Path:
    """base.yaml and dataset.yaml, which name a check that somebody else installed."""
    (tmp_path / "gate.pub").write_bytes(GATE.trusted().pem)
    for name, kind, most in (("base", "model", 3), ("dataset", "dataset", 4), ("strict", "model", 1)):
        (tmp_path / f"{name}.yaml").write_text(POLICY.format(kind=kind, most=most))
    return tmp_path


def test_cleared_under_the_right_policies(cleared: Yard, policies: Path) -> None:
    base, dataset = (Policy.load(policies / f"{name}.yaml") for name in ("base", "dataset"))
    asked = {"base_policy": "base.yaml", "dataset_policy": "dataset.yaml"}
    report = cleared.look(**asked)
    assert "under another policy" in message(report, "base-not-cleared")
    assert "under another policy" in message(report, "dataset-not-cleared")
    assert f"--policy {policies}/base.yaml" in report.findings[0].fix
    cleared.clear(cleared.base.subject, policy_digest=base.digest)
    cleared.clear(cleared.data.subject, "dataset", policy_digest=dataset.digest)
    report = cleared.look(**asked)
    assert report.findings == ()
    assert [one.digest for one in report.materials[2:]] == [base.digest, dataset.digest]


def test_a_laxer_policy_does_not_clear(cleared: Yard, policies: Path) -> None:
    cleared.clear(cleared.base.subject, policy_digest=Policy.load(policies / "base.yaml").digest)
    assert cleared.look(base_policy="base.yaml").findings == ()
    assert rules(cleared.look(base_policy="strict.yaml")) == ["base-not-cleared"]


@pytest.mark.parametrize("option", ["base_policy", "dataset_policy"])
def test_policies_that_are_none(cleared: Yard, policies: Path, option: str) -> None:
    (policies / "broken.yaml").write_text("version: 1\nsubjekt: model\n")
    (policies / "folder").mkdir()
    wrong = {"base_policy": "dataset.yaml", "dataset_policy": "base.yaml"}[option]
    for file in (wrong, "nowhere.yaml", "folder"):
        with pytest.raises(UsageError, match=option):
            cleared.look(**{option: file})
    with pytest.raises(PolicyError, match=r"broken\.yaml:2: unknown key 'subjekt'"):
        cleared.look(**{option: "broken.yaml"})


def test_a_policy_that_cannot_be_resolved_clears_nothing(cleared: Yard, policies: Path) -> None:
    (policies / "gate.pub").unlink()
    with pytest.raises(PolicyError, match=r"base\.yaml"):
        cleared.look(base_policy="base.yaml")


# --- the question -------------------------------------------------------------------------------------------------------


def ask(setting: Setting | None = None, **options: Any) -> LineageOptions:
    asked = checking.options_for(lineage, {**WHO, **options}, setting or EVERYBODY)
    assert isinstance(asked, LineageOptions)
    return asked


def test_the_store_is_no_part_of_the_question() -> None:
    there = Setting(store="s3://somewhere", trust=TRUST)
    assert ask(there).store == "s3://somewhere" and ask().store == ""
    assert ask(there).digest == ask().digest
    assert "store" not in LineageOptions.model_json_schema()["properties"]
    with pytest.raises(UsageError, match="no option 'store'"):
        checking.options_for(lineage, {**WHO, "store": "x"}, Setting(trust=TRUST))


def test_the_question_is_bound_to_keys_and_policies(policies: Path) -> None:
    digests = {
        ask(**changes).digest
        for changes in (
            {}, {"trainers": ["mallory"]}, {"gates": ["gate", "mallory"]}, {"require_base": False}, {"require_dataset": False},
            {"base_policy": policies / "base.yaml"}, {"base_policy": policies / "strict.yaml"},
            {"dataset_policy": policies / "dataset.yaml"},
        )
    }  # fmt: skip
    assert len(digests) == 8


@pytest.mark.parametrize("missing", ["trainers", "gates"])
def test_somebody_must_be_trusted(missing: str) -> None:
    unusable: tuple[Any, ...] = ([], None, "nobody")
    for value in unusable:
        with pytest.raises(UsageError, match=missing):
            ask(None, **{missing: value})
    with pytest.raises(UsageError, match=missing):
        checking.options_for(lineage, {key: value for key, value in WHO.items() if key != missing}, Setting(trust=TRUST))


def test_a_store_that_cannot_be_read_is_an_error(cleared: Yard, tmp_path: Path) -> None:
    folder = Path(cleared.store.uri) / "records" / "sha256" / cleared.model.subject.hex
    (path,) = folder.iterdir()
    path.unlink()
    folder.rmdir()
    folder.write_bytes(b"no folder")
    with pytest.raises(StoreError):
        cleared.look()


def test_a_record_that_is_a_link_to_nowhere_proves_nothing(cleared: Yard, tmp_path: Path) -> None:
    (path,) = (Path(cleared.store.uri) / "records" / "sha256" / cleared.model.subject.hex).iterdir()
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    assert "no-training-record" in rules(cleared.look())


def test_a_dataset_has_no_lineage(cleared: Yard) -> None:
    with pytest.raises(CheckError, match="looks at a model"):
        cleared.instead(cleared.data).look()
