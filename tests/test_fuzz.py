"""Bytes from strangers, at random: whatever they are, only our own errors come out, of the documented kind."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pratique import documents, signing, verifying
from pratique.artifacts import Subject
from pratique.checking import Finding, Report, Severity
from pratique.errors import Error, EvidenceError, Malformed, PolicyError, UsageError
from pratique.judging import decide
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner, TrustedKey
from pratique.statements import Clearance, Evidence, Material, TrainingRecord
from pratique.store import Store
from pratique.testing import vouched
from pratique.vouching import collect

KEY = KeySigner.generate()
SUBJECT = Subject(digest="sha256:" + "0" * 64, name="base")
THEN = datetime(2026, 1, 1, tzinfo=timezone.utc)
DIGEST = "sha256:" + "1" * 64
EVIDENCE = Evidence(
    check="shape", check_version="1", subject=SUBJECT, kind="model", options_digest=DIGEST, policy_digest=DIGEST, run_id="r",
    report=Report(
        findings=(Finding(rule="r", severity=Severity.HIGH, message="m"),), measures={"files": 1.5}, materials=(SUBJECT,)
    ),
    made_at=THEN,
)  # fmt: skip
RECORD = TrainingRecord(
    subject=SUBJECT, materials=(Material(role="base", subject=SUBJECT, uri="u"),), parameters={"epochs": 3},
    builder="urn:pratique:trainer:" + KEY.trusted().fingerprint, run_id="r", started_at=THEN, finished_at=THEN,
)  # fmt: skip
CLEARANCE = Clearance(
    subject=SUBJECT, kind="model", verifier="urn:pratique:gate:" + KEY.trusted().fingerprint, resource_uri="u",
    policy_digest=DIGEST, evidence=(DIGEST,), levels=("L",), made_at=THEN, expires=THEN + timedelta(days=1),
)  # fmt: skip
BUNDLE = signing.sign(EVIDENCE.statement(), INTOTO, KEY)
STATEMENTS: list[Any] = [EVIDENCE, RECORD, CLEARANCE]

ODD = st.sampled_from([
    None, True, -1, 10**30, 10**400, 1e308, "", "x", "\x00", "\u202e", "PASSED", "sha256:", "A" * 64, "0" * 64, [], {}, [[]],
    {"sha256": "0" * 64}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", 253402300800, -(10**12),
    "https://in-toto.io/Statement/v1", ["unhashable"], {"un": "hashable"}, "9" * 5000,
])  # fmt: skip
VALUES = st.recursive(ODD | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["_type", "subject", "digest", "sha256", "predicate", "predicateType", "pratique", "name", "x"]), inner,
    max_size=4,
), max_leaves=12)  # fmt: skip

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mutated(data: st.DataObject, value: Any) -> Any:
    """The value with some part of it replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(data.draw(st.integers(1, 3))):
        holders: list[Any] = [value]
        for holder in holders:
            inner = holder.values() if isinstance(holder, dict) else holder
            holders += [one for one in inner if isinstance(one, (dict, list)) and one]
        victim = data.draw(st.sampled_from(holders))
        key = data.draw(st.sampled_from(sorted(victim) if isinstance(victim, dict) else range(len(victim))))
        victim[key] = copy.deepcopy(data.draw(VALUES))  # what is sampled is one object, which must not come to hold itself
    return value


def spliced(data: st.DataObject, original: bytes) -> bytes:
    """The bytes with some of them replaced, removed or added."""
    at = data.draw(st.integers(0, len(original)))
    return original[:at] + data.draw(st.binary(max_size=8)) + original[at + data.draw(st.integers(0, 8)) :]


@quick
@given(data=st.data())
def test_json_from_strangers(data: st.DataObject) -> None:
    raw = data.draw(st.binary(max_size=60) | st.text(st.sampled_from('[]{}":,\\u0d8ceEn-1. '), max_size=40).map(str.encode))
    with contextlib.suppress(Malformed):
        documents.canonical(documents.parse(raw, what="it"))  # what can be read can be written


@quick
@given(data=st.data())
def test_a_statement_from_a_stranger(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(STATEMENTS))
    payload = json.dumps(mutated(data, json.loads(one.statement()))).encode()
    for parse in (Evidence.parse, TrainingRecord.parse, Clearance.parse):
        with contextlib.suppress(Malformed):
            parsed: Any = parse(payload)
            assert parse(parsed.statement()) == parsed


@quick
@given(data=st.data())
def test_a_bundle_from_a_stranger(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(["spliced", "mutated", "random"]))
    given = {
        "spliced": lambda: spliced(data, BUNDLE),
        "mutated": lambda: json.dumps(mutated(data, json.loads(BUNDLE))).encode(),
        "random": lambda: data.draw(st.binary(max_size=200)),
    }[raw]()
    with contextlib.suppress(EvidenceError):
        assert signing.verify(given, [KEY.trusted()]).payload == EVIDENCE.statement()


@quick
@given(data=st.data())
def test_anything_that_somebody_trusted_signed_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """`pratique verify` on a bundle whose signature fits."""
    one = data.draw(st.sampled_from(STATEMENTS))
    payload = json.dumps(mutated(data, json.loads(one.statement()))).encode() if data.draw(st.booleans()) else None
    payload = data.draw(st.binary(max_size=40)) if payload is None else payload
    (tmp_path / "bundle").write_bytes(signing.sign(payload, INTOTO, KEY))
    with contextlib.suppress(EvidenceError):
        verifying.path(tmp_path / "bundle", [KEY.trusted()], now=THEN)


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    return Policy.load(policy_file)


@quick
@given(data=st.data())
def test_every_evidence_that_can_be_read_gets_a_verdict(policy: Policy, data: st.DataObject) -> None:
    """And none that was tampered with at random is an admission: the report above has a grave finding."""
    moment = data.draw(st.datetimes(datetime(1970, 1, 2), datetime(8999, 1, 1), timezones=st.just(timezone.utc)))
    try:
        one = Evidence.parse(json.dumps(mutated(data, json.loads(EVIDENCE.statement()))).encode())
    except Malformed:
        return
    seen = vouched(one, *policy.require["shape"].signers, digest=DIGEST)
    assert decide(policy, one.subject, [seen], now=data.draw(st.sampled_from([moment, THEN]))).denials


# --- policies -----------------------------------------------------------------------------------------------------------

POLICY = """\
version: 1
subject: model
trust:
  gate: {key: gate.pub}
evidence: {signers: [gate], max_age: P2D}
require:
  shape: {deny_at: medium, measures: {files: {min: 0, max: 3}}, max_age: P1D, threshold: 1, options: {most: 5}}
clearance: {expires: P7D}
waivers:
- {check: shape, rule: r, subject: "sha256:%s", reason: x, owner: y, until: 2027-01-01T00:00:00Z}
""" % ("0" * 64)

YAML = st.sampled_from([
    "~", "true", ".nan", ".inf", "-.inf", "1_000", "0x10", "1:30", "!!timestamp x", "!!bool maybe", "!!int x", "!!float x",
    "!!binary %", "!!python/object/apply:os.system [id]", "!!set {a}", "!!omap [a]", "!x {a: 1}", "&a [1]", "*a", "<<: {a: b}",
    "P1D", "P99999999D", "P-1D", "-1", "1e999", "'a\\0b'", '"a\\0b"', "~nobody/x", "2027-01-01", "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00Z", "[", "{", "]", "}", ":", "- ", "? x", "|", ">", "%YAML 1.1", "---", "...", "\t", "\x00", "\ufeff",
    "9" * 5000, "[" * 200, "{a: " * 200, "yes", "=", "[]", "{}", "''",
])  # fmt: skip


@quick
@given(data=st.data())
def test_a_policy_from_a_stranger(policy_file: Path, data: st.DataObject) -> None:
    text = POLICY
    for _ in range(data.draw(st.integers(1, 2))):
        words = [at for at, letter in enumerate(text) if letter in " :{}[],\n"]
        start = data.draw(st.sampled_from(words))
        end = data.draw(st.integers(start, min(start + 12, len(text))))
        text = (
            text[:start]
            + data.draw(
                YAML | st.sampled_from([" ", ": ", ", "]).flatmap(lambda one: YAML.map(one.__add__)) | st.text(max_size=3)
            )
            + text[end:]
        )
    with contextlib.suppress(PolicyError):
        policy = Policy.parse(text.encode("utf-8", "surrogatepass"), file="policy.yaml", base=policy_file.parent)
        assert policy.require and policy.digest.startswith("sha256:")
        decide(policy, SUBJECT, [vouched(EVIDENCE, digest=DIGEST)], now=THEN)


@quick
@example(raw=b"{}")
@given(raw=st.binary(max_size=80))
def test_a_policy_that_is_no_text(raw: bytes) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(raw, file="policy.yaml", base=Path())


@pytest.mark.parametrize(
    "value", ["!!timestamp x", "!!bool maybe", "!x {}", "P999999D", "P0D", "-P1D", "9999-12-31T23:59:59-12:00"]
)
def test_a_value_that_pyyaml_or_the_calendar_breaks_on(policy_file: Path, value: str) -> None:
    old = "P2D" if value[0] in "P-" else "2027-01-01T00:00:00Z"
    with pytest.raises(PolicyError, match=r"policy\.yaml:\d+"):
        Policy.parse(POLICY.replace(old, value).encode(), file="policy.yaml", base=policy_file.parent)


# --- keys and stores ----------------------------------------------------------------------------------------------------


@quick
@given(data=st.data())
def test_a_key_from_a_stranger(tmp_path: Path, data: st.DataObject) -> None:
    pem = data.draw(st.sampled_from(PEMS))
    body = pem.splitlines()[1:-1]
    der = spliced(data, base64.b64decode(b"".join(body)))
    framed = b"\n".join([pem.splitlines()[0], base64.b64encode(der), pem.splitlines()[-1], b""])
    for raw in (framed, spliced(data, pem), data.draw(st.binary(max_size=60))):
        with contextlib.suppress(UsageError):
            TrustedKey.parse("k", raw)
        (tmp_path / "k").write_bytes(raw)
        with contextlib.suppress(UsageError):
            KeySigner.load(tmp_path / "k")


def pems() -> list[bytes]:
    from cryptography.hazmat.primitives import serialization as s

    plain = KEY.private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    locked = KEY.private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"x"))
    return [KEY.trusted().pem, plain, locked]


PEMS = pems()
NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, folder=st.none() | NAMES, suffix=st.booleans(), whole=st.booleans())
def test_whatever_lies_in_a_store(
    tmp_path_factory: pytest.TempPathFactory, name: bytes, folder: bytes | None, suffix: bool, whole: bool
) -> None:
    """Names that are no text, terminal escapes, copies, strange folders: all of it is left out, and said."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    bundle = signing.sign(EVIDENCE.statement(), INTOTO, KEY)
    store.add("evidence", SUBJECT, bundle, check="shape")
    place = os.fsencode(f"{store.uri}/evidence/sha256/{SUBJECT.hex}") + (b"/" + folder if folder else b"")
    os.makedirs(place, exist_ok=True)
    with (
        contextlib.suppress(FileExistsError, IsADirectoryError),
        open(place + b"/" + name + (b".sigstore.json" if suffix else b""), "xb") as stream,
    ):
        stream.write(bundle if whole else b"junk")
    seen = collect(store, "evidence", SUBJECT, [KEY.trusted()], Evidence.parse)
    assert [one.statement for one in seen.vouched] == [EVIDENCE]
    assert all(documents.line(one) == one for one in seen.refused)


@quick
@given(
    uri=st.text(max_size=20) | st.sampled_from(["::", "a::b", "file://", "memory://", "s3://", "zip://x::y", "://", "http://"])
)
def test_whatever_a_store_is_called(uri: str) -> None:
    parse: Callable[[bytes], Evidence] = Evidence.parse
    with contextlib.suppress(Error):
        collect(Store(uri), "evidence", SUBJECT, [KEY.trusted()], parse)
