"""The policy file: every mistake has a line, the nearest spelling, and exit code 2."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from pratique.checking import Severity
from pratique.errors import PolicyError
from pratique.policies import Policy, explain, schema

GOOD = """\
version: 1
subject: model
trust:
  gate: {key: gate.pub}
evidence: {signers: [gate], max_age: P2D}
require:
  shape:
    deny_at: medium
    measures:
      files: {max: 3}
    options: {most: 5}
clearance: {expires: P7D}
waivers:
  - {check: shape, rule: bad-name, subject: "sha256:%s", reason: known, owner: ops, until: 2027-01-01T00:00:00Z}
""" % ("0" * 64)


def load(policy_file: Path, text: str) -> Policy:
    policy_file.write_text(text)
    return Policy.load(policy_file)


def test_a_good_policy(policy_file: Path) -> None:
    policy = load(policy_file, GOOD)
    one = policy.require["shape"]
    assert (one.deny_at, one.max_age, one.threshold) == (Severity.MEDIUM, timedelta(days=2), 1)
    assert one.signers == {policy.trust["gate"].fingerprint}
    assert policy.waivers[0].rule == "bad-name"


MISTAKES = {
    "a typo in a key": ("deny_at", "denyat", 8, "did you mean 'deny_at'"),
    "a typo at the top": ("require:", "requires:", 6, "did you mean 'require'"),
    "a typo in an option": ("most:", "mots:", 7, "did you mean 'most'"),
    "a typo in a bound": ("{max: 3}", "{maks: 3}", 10, "did you mean 'max'"),
    "a check that is not installed": ("  shape:", "  shpe:", 7, "did you mean 'shape'"),
    "a measure that the check does not report": ("files:", "filse:", 10, "no measure 'filse'"),
    "a severity that does not exist": ("medium", "grave", 8, "'note', 'low'"),
    "an unknown signer": ("signers: [gate]", "signers: [gaet]", 7, "not listed under `trust`"),
    "a key file that is not there": ("gate.pub", "gone.pub", 4, "cannot read the key"),
    "a private key as public key": ("gate.pub", "gate.key", 4, "not a PEM public key"),
    "another version": ("version: 1", "version: 2", 1, "version"),
    "a bound that bounds nothing": ("{max: 3}", "{}", 10, "give min, max or both"),
    "a bound that nothing satisfies": ("{max: 3}", "{min: 4, max: 3}", 10, "min <= max"),
    "a bound that is not a number": ("{max: 3}", "{max: many}", 10, "number"),
    "an age that is not a duration": ("P2D", "two days", 5, "max_age"),
    "a clearance that never holds": ("expires: P7D", "expires: PT0S", 12, "longer than nothing"),
    "a waiver for every artifact": ("sha256:" + "0" * 64, "sha256:*", 14, "subject"),
    "a waiver without a time zone": ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00", 14, "until"),
    "a waiver for what is not required": ("check: shape", "check: other", 14, "not required"),
    "a waiver without a reason": ("reason: known", "reason: ''", 14, "reason"),
    "a key twice": ("version: 1", "version: 1\nversion: 1", 2, "appears twice"),
    "no YAML": ("require:", "require: [", 0, "not YAML"),
    "a python object": ("deny_at: medium", "deny_at: !!python/object/apply:os.system [ls]", 8, ""),
    "a key that YAML reads as true": ("deny_at: medium", "on: 1", 8, "plain string"),
    "an alias": ("deny_at: medium", "deny_at: &a medium\n    max_age: *a", 8, "aliases"),
    "no threshold of so many": ("deny_at: medium", "threshold: 2", 7, "2 signers are demanded"),
    "a wrong type in an option": ("most: 5", "most: five", 7, "option most"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_line(policy_file: Path, name: str) -> None:
    right, wrong, line, says = MISTAKES[name]
    assert right in GOOD
    with pytest.raises(PolicyError) as caught:
        load(policy_file, GOOD.replace(right, wrong))
    assert says in str(caught.value)
    assert caught.value.exit_code == 2
    assert not line or f"policy.yaml:{line}:" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "version: 1\ntrust: {gate: {key: gate.pub}}\nrequire: {}", "just text", "\xff"])
def test_a_policy_that_requires_nothing(policy_file: Path, text: str) -> None:
    with pytest.raises(PolicyError):
        load(policy_file, text)


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot read"):
        Policy.load(tmp_path / "none.yaml")


def test_a_huge_policy_is_not_parsed(policy_file: Path) -> None:
    with pytest.raises(PolicyError, match="at most"):
        load(policy_file, "#" * (1 << 21))


def test_deep_nesting_is_refused(policy_file: Path) -> None:
    with pytest.raises(PolicyError):
        load(policy_file, "a: " + "[" * 5000 + "]" * 5000)


def test_the_digest_binds_the_key_by_content(policy_file: Path) -> None:
    from pratique.signing import KeySigner

    before = load(policy_file, GOOD).digest
    assert load(policy_file, GOOD + "# a comment\n").digest == before
    (policy_file.parent / "gate.pub").write_bytes(KeySigner.generate().trusted().pem)
    assert load(policy_file, GOOD).digest != before


@pytest.mark.parametrize(
    "right,wrong", [("max: 3", "max: 4"), ("medium", "high"), ("P2D", "P3D"), ("most: 5", "most: 6"), ("P7D", "P8D")]
)
def test_the_digest_sees_every_decision(policy_file: Path, right: str, wrong: str) -> None:
    assert load(policy_file, GOOD).digest != load(policy_file, GOOD.replace(right, wrong)).digest


def test_the_policy_is_explained_in_sentences(policy_file: Path) -> None:
    text = "\n".join(explain(load(policy_file, GOOD)))
    for part in ("shape", "medium or worse", "at most 3", "most = 5", "7 days", "waived", "ops"):
        assert part in text


def test_the_schema_accepts_what_the_loader_accepts_and_knows_each_checks_options(shape: str) -> None:
    document = schema()
    json.dumps(document)
    assert (
        document["properties"]["require"]["properties"]["shape"]["properties"]["options"]["properties"]["most"]["default"]
        == 100
    )
    assert set(yaml.safe_load(GOOD)) <= set(document["properties"])


def test_the_baseline_policy_loads_for_models_and_datasets(home: Path) -> None:
    assert Policy.baseline("model").subject == "model"
    assert Policy.baseline("dataset").subject == "dataset"
    assert (home / "keys" / "gate.key").exists()
