"""From what lies in a store to what somebody trusted says; one bad bundle spoils nothing but itself."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pratique import signing
from pratique.artifacts import Subject
from pratique.checking import Report
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Evidence
from pratique.store import Store
from pratique.vouching import Collected, collect

GATE, OTHER = KeySigner.generate(), KeySigner.generate()
SUBJECT = Subject(digest="sha256:" + "1" * 64, name="base")
DIGEST = "sha256:" + "2" * 64
EVIDENCE = Evidence(
    check="shape", check_version="1", subject=SUBJECT, kind="model", report=Report(), options_digest=DIGEST,
    policy_digest=DIGEST, run_id="", made_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
)  # fmt: skip
BUNDLE = signing.sign(EVIDENCE.statement(), INTOTO, GATE)


def seen(store: Store, *keys: KeySigner) -> Collected[Evidence]:
    return collect(store, "evidence", SUBJECT, [key.trusted(str(n)) for n, key in enumerate(keys or (GATE,))], Evidence.parse)


def place(store: Store) -> Path:
    (path,) = Path(store.uri).rglob("*.sigstore.json")
    return path


@pytest.fixture
def kept(store: Store) -> Store:
    """A store with one piece of evidence."""
    store.add("evidence", SUBJECT, BUNDLE, check="shape")
    return store


def test_what_somebody_trusted_signed_is_vouched_for(kept: Store) -> None:
    (one,) = seen(kept).vouched
    assert (one.statement, one.signers) == (EVIDENCE, {GATE.trusted().fingerprint})
    assert place(kept).name == one.digest.removeprefix("sha256:") + ".sigstore.json"
    assert seen(kept).refused == ()


def test_nobody_trusted_vouches_for_it(kept: Store) -> None:
    assert (seen(kept, OTHER).vouched, len(seen(kept, OTHER).refused)) == ((), 1)


def test_bytes_under_another_name_than_their_digest(kept: Store) -> None:
    path = place(kept)
    for name in ("0" * 64, path.name.removesuffix(".sigstore.json") + "0", "x" + path.name.removesuffix(".sigstore.json")):
        shutil.copy(path, path.with_name(name + ".sigstore.json"))
    folder = path.parent / path.name.removesuffix(".sigstore.json")
    folder.mkdir()
    shutil.copy(path, folder / "other.sigstore.json")  # its digest stands in the path, but not as its name
    found = seen(kept)
    assert (len(found.vouched), len(found.refused)) == (1, 4)
    assert all("not the ones that its name promises" in one for one in found.refused)


def test_copies_of_one_bundle_are_one_voice(kept: Store) -> None:
    path = place(kept)
    for check in ("other", "shape/deeper"):
        (path.parent.parent / check).mkdir(parents=True)
        shutil.copy(path, path.parent.parent / check / path.name)
    assert len(seen(kept).vouched) == 1


def test_copies_in_the_store_do_not_stop_a_gate(policy_file: Path, store: Store, signer: KeySigner, model: Path) -> None:
    """Whoever may write to the store could otherwise keep every artifact out for ever."""
    policy = Policy.load(policy_file)
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    first = pass_gate(str(model), policy=policy, store=store, signer=signer, run_id="r", now=now)
    (path,) = Path(store.uri).rglob("evidence/**/*.sigstore.json")
    (path.parent.parent / "copy").mkdir()
    shutil.copy(path, path.parent.parent / "copy" / path.name)
    again = pass_gate(str(model), policy=policy, store=store, signer=signer, run_id="r", resume=True, now=now)
    assert first.verdict.admitted and again.verdict.admitted


def test_a_statement_of_another_kind_on_the_shelf(store: Store) -> None:
    one = Clearance(
        subject=SUBJECT, kind="model", verifier="v", resource_uri="u", policy_digest=DIGEST, evidence=(), levels=("L",),
        made_at=EVIDENCE.made_at, expires=EVIDENCE.made_at,
    )  # fmt: skip
    store.add("evidence", SUBJECT, signing.sign(one.statement(), INTOTO, GATE), check="shape")
    assert (seen(store).vouched, len(seen(store).refused)) == ((), 1)


def test_a_statement_about_another_artifact(store: Store) -> None:
    store.add("evidence", Subject(digest="sha256:" + "9" * 64), BUNDLE, check="shape")
    found = collect(store, "evidence", Subject(digest="sha256:" + "9" * 64), [GATE.trusted()], Evidence.parse)
    assert found.vouched == () and "replayed" in found.refused[0]


def test_one_bad_bundle_among_many_good_ones(kept: Store) -> None:
    for junk in (b"", b"{}", BUNDLE[:-9], BUNDLE + b" "):
        kept.add("evidence", SUBJECT, junk, check="shape")
    found = seen(kept)
    assert (len(found.vouched), len(found.refused)) == (
        2,
        3,
    )  # white space after a bundle is a second bundle that says the same
