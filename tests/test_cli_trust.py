"""Who signs and who is trusted, on the command line; and trusted roots from a TUF repository on loopback, honest and not."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from securesystemslib import dsse as their_dsse
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from pratique import cli, signing
from pratique.artifacts import Subject as StatementSubject
from pratique.errors import ServiceError, UsageError
from pratique.signing import KeySigner, fetching
from pratique.statements import Clearance
from pratique.testing import folder_of
from pratique.testing.certificates import Authority, write_pem
from pratique.testing.sigstore import FakeSigstore, tokens


@pytest.fixture
def pratique(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pratique", *map(str, words)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeSigstore]:
    with FakeSigstore() as running:
        yield running


# --- signing and verifying by each method


def methods(fake: FakeSigstore, folder: Path) -> dict[str, tuple[list[object], str, str]]:
    """Words that sign, the entry that trusts, and what the proof says."""
    root = Authority.root("Acme Root")
    signer = root.signer("CN=release,O=Acme")
    signer.key.save(folder / "release.key")
    leaf, above = write_pem(folder / "leaf.pem", signer.chain[:1]), write_pem(folder / "root.pem", signer.chain[1:])
    written = fake.write(folder / "sigstore", tokens.github("acme/models"))
    keyless = [
        "--identity-token",
        written.token,
        "--signing-config",
        written.signing_config,
        "--trusted-root",
        written.trusted_root,
    ]
    return {
        "key": (["--key", folder / "release.key"], str(folder / "release.pub"), "under the public key of release"),
        "certificate": (
            ["--key", folder / "release.key", "--certificate", leaf, "--chain", above],
            f'{{certificate: {folder / "root.pem"}, subject: "CN=release,O=Acme"}}',
            "lead from it to the certificate of CN=Acme Root",
        ),
        "keyless": (
            keyless, f"{{github: acme/models, workflow: release.yml, root: {written.trusted_root}}}",
            "for https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("method", ["key", "certificate", "keyless"])
def test_sign_and_verify_by_each_method_and_by_no_other(
    pratique: Any, fake: FakeSigstore, tmp_path: Path, model: Path, method: str
) -> None:
    known = methods(fake, tmp_path)
    sign, entry, says = known[method]
    assert pratique("sign", model, *sign)[0] == 0
    code, out, _ = pratique("verify", model, "--trust", entry)
    assert (code, says in out) == (0, True), out
    for other in known.keys() - {method}:
        code, out, err = pratique("verify", model, "--trust", known[other][1])
        assert (code, out) == (5, ""), err
    code, out, _ = pratique("verify", model, "--trust", entry, "--trust", known["key"][1], "--format", "json")
    assert json.loads(out)["holds"]


def test_a_check_and_a_gate_that_sign_keyless(
    pratique: Any, fake: FakeSigstore, tmp_path: Path, model: Path, shape: str
) -> None:
    known = methods(fake, tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"version: 1\ntrust:\n  gate: {known['keyless'][1]}\nrequire:\n  shape: {{}}\n")
    code, out, err = pratique("gate", model, "--policy", policy, *known["keyless"][0], "--store", tmp_path / "store")
    assert code == 0, err
    (bundle,) = (tmp_path / "store" / "clearances").rglob("*.sigstore.json")
    code, out, _ = pratique("verify", bundle, "--trust-policy", policy)
    assert (code, "second opinion" in out, "cleared it under policy" in out) == (0, True, True)
    code, _, err = pratique("gate", model, "--policy", policy, "--store", tmp_path / "store")
    assert (code, "does not trust" in err) == (2, True)


WRONG: dict[str, tuple[list[str], str]] = {
    "nobody": ([], "nobody would sign"),
    "a certificate without a key": (["--certificate", "{d}/leaf.pem"], "--key"),
    "a chain without a certificate": (["--key", "{d}/release.key", "--chain", "{d}/root.pem"], "--certificate"),
    "a key that is not there": (["--key", "{d}/none.key"], "cannot read the key"),
    "a certificate that is none": (["--key", "{d}/release.key", "--certificate", "{d}/release.pub"], "no PEM certificates"),
    "a certificate of another key": (["--key", "{d}/other.key", "--certificate", "{d}/leaf.pem"], "belongs to another key"),
    "a token alone": (["--identity-token", "{d}/sigstore/token"], "--signing-config"),
    "a token and a key": (["--identity-token", "{d}/sigstore/token", "--key", "{d}/release.key"], "not with both"),
    "a signing configuration alone": (["--signing-config", "{d}/sigstore/signing_config.json"], "--identity-token"),
    "a token that is not there": (
        ["--identity-token", "{d}/none", "--signing-config", "{d}/sigstore/signing_config.json", "--trusted-root",
         "{d}/sigstore/trusted_root.json"], "cannot read the identity token",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_signer_that_makes_no_sense(pratique: Any, fake: FakeSigstore, tmp_path: Path, model: Path, name: str) -> None:
    methods(fake, tmp_path)
    KeySigner.generate().save(tmp_path / "other.key")
    words, says = WRONG[name]
    code, out, err = pratique("sign", model, *(word.format(d=tmp_path) for word in words))
    assert (code, out, says in err) == (2, "", True), err
    assert not (model / "model.sig").exists()


@pytest.mark.parametrize("words", [[], ["--trust", "none.pub"], ["--trust", "{own: true"], ["--trust-policy", "none.yaml"]])
def test_nobody_to_trust(pratique: Any, model: Path, words: list[str]) -> None:
    assert pratique("verify", model, *words)[0] == 2


def test_a_policy_that_has_revoked_the_signer(pratique: Any, tmp_path: Path, model: Path, shape: str) -> None:
    KeySigner.generate().save(tmp_path / "supplier.key")
    pratique("sign", model, "--key", tmp_path / "supplier.key")
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\ntrust: {supplier: {key: supplier.pub}, gate: {own: true}}\nrequire: {shape: {}}\n")
    assert pratique("verify", model, "--trust-policy", policy)[0] == 0
    policy.write_text(policy.read_text() + "revoked: [{key: supplier.pub, reason: lost}]\n")
    code, _, err = pratique("verify", model, "--trust-policy", policy)
    assert (code, "has revoked" in err) == (5, True)


def test_what_a_policy_has_revoked_counts_for_nothing_whoever_else_is_named(pratique: Any, tmp_path: Path, model: Path) -> None:
    """A key named beside the policy, of whom the policy knows nothing: its revocations are about that one, too."""
    KeySigner.generate().save(tmp_path / "supplier.key")
    pratique("sign", model, "--key", tmp_path / "supplier.key")
    (tmp_path / "policy.yaml").write_text("version: 1\ntrust: {gate: {own: true}}\nrequire: {artifact: {}}\n")
    words = ["verify", model, "--trust", tmp_path / "supplier.pub", "--trust-policy", tmp_path / "policy.yaml"]
    assert pratique(*words)[0] == 0
    artifact = json.loads(pratique(*words, "--format", "json")[1])["subject"]
    weights = f"sha256:{hashlib.sha256((model / 'weights.bin').read_bytes()).hexdigest()}"
    for what in ("key: supplier.pub", f'digest: "{artifact}"', f'digest: "{weights}"'):
        (tmp_path / "policy.yaml").write_text(
            f"version: 1\ntrust: {{gate: {{own: true}}}}\nrevoked: [{{{what}, reason: lost}}]\nrequire: {{artifact: {{}}}}\n"
        )
        code, out, _ = pratique(*words, "--format", "json")
        assert (code, json.loads(out)["rule"]) == (5, "revoked"), what


@pytest.mark.parametrize("how", ["all", "one file", "audit"])
def test_a_dataset_or_a_file_of_it_that_a_policy_has_revoked(
    pratique: Any, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRATIQUE_HOME", str(tmp_path / "home"))
    data = folder_of(tmp_path / "images", {"a.parquet": b"a", "b.parquet": b"b"})
    KeySigner.generate().save(tmp_path / "publisher.key")
    assert pratique("manifest", "sign", data, "--key", tmp_path / "publisher.key")[0] == 0
    policy = (
        "version: 1\nsubject: dataset\ntrust: {publisher: {key: publisher.pub}, gate: {own: true}}\nrequire: {artifact: {}}\n"
    )
    words = ["manifest", "audit" if how == "audit" else "verify", data, "--trust-policy", tmp_path / "policy.yaml"]
    words += ["--file", "a.parquet"] if how == "one file" else []
    (tmp_path / "policy.yaml").write_text(policy)
    code, out, err = pratique(*words, "--format", "json")
    assert code == 0, err
    subject, file, other = json.loads(out)["subject"], hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
    for digest, code in ((subject, 5), (f"sha256:{file}", 5), (f"sha256:{other}", 0 if how == "one file" else 5)):
        (tmp_path / "policy.yaml").write_text(policy + f'revoked: [{{digest: "{digest}", reason: poisoned}}]\n')
        assert pratique(*words)[0] == code


# --- plain DSSE


def test_a_clearance_as_plain_dsse_is_read_by_another_library(
    pratique: Any, tmp_path: Path, policy_file: Path, model: Path
) -> None:
    """securesystemslib knows DSSE, and no bundles; nor does slsa-verifier for a VSA."""
    key, public = policy_file.with_name("gate.key"), policy_file.with_name("gate.pub")
    store = tmp_path / "store"
    assert pratique("gate", model, "--policy", policy_file, "--store", store, "--key", key)[0] == 0
    (bundle,) = (store / "clearances").rglob("*.sigstore.json")
    code, out, _ = pratique("dsse", bundle, "--trust", public, "-o", tmp_path / "vsa.json")
    assert (code, "signed by gate" in out) == (0, True)

    envelope = their_dsse.Envelope.from_dict(json.loads((tmp_path / "vsa.json").read_text()))
    pem = public.read_text()
    known = SSlibKey("", "ecdsa", "ecdsa-sha2-nistp256", {"public": pem})
    assert envelope.verify([known], 1)
    statement = json.loads(envelope.payload)
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["predicate"]["verificationResult"] == "PASSED"


def test_nothing_that_does_not_hold_is_written_as_plain_dsse(pratique: Any, tmp_path: Path, fake: FakeSigstore) -> None:
    KeySigner.generate().save(tmp_path / "a.key")
    KeySigner.generate().save(tmp_path / "b.key")
    bundle = tmp_path / "x.sigstore.json"
    bundle.write_bytes(signing.sign(b"{}", signing.INTOTO, KeySigner.load(tmp_path / "a.key")))
    assert pratique("dsse", bundle, "--trust", tmp_path / "b.pub", "-o", tmp_path / "out.json")[0] == 5
    bundle.write_bytes(fake.seal(b'{"_type":"https://in-toto.io/Statement/v1"}', tokens.github("acme/models")))
    assert pratique("dsse", bundle, "--trust", tmp_path / "b.pub", "-o", tmp_path / "out.json")[0] == 5
    with pytest.raises(UsageError, match="without its bundle"):
        signing.plain(bundle.read_bytes())
    own, now = KeySigner.load(tmp_path / "a.key"), datetime.now(timezone.utc)
    subject, digest = StatementSubject(digest="sha256:" + "1" * 64, name="base"), "sha256:" + "2" * 64
    one = Clearance(
        subject=subject, kind="model", verifier=f"urn:pratique:gate:{own.trusted().fingerprint}", resource_uri="u",
        policy_digest=digest, evidence=(digest,), levels=("PRATIQUE_ARTIFACT",), made_at=now - timedelta(days=2),
        expires=now - timedelta(days=1),
    )  # fmt: skip
    for payload in (one.statement(), b"{}"):  # lapsed: slsa-verifier would not notice; a statement of no kind
        bundle.write_bytes(signing.sign(payload, signing.INTOTO, own))
        assert pratique("dsse", bundle, "--trust", tmp_path / "a.pub", "-o", tmp_path / "out.json")[0] == 5
    assert not (tmp_path / "out.json").exists()


# --- trusted roots over TUF


class Repository:
    """A TUF repository as python-tuf's own API makes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = {role: CryptoSigner.generate_ecdsa() for role in ("root", "timestamp", "snapshot", "targets")}
        expires = datetime.now(timezone.utc) + timedelta(days=30)
        self.root = Root(expires=expires)
        for role, signer in self.signers.items():
            self.root.add_key(signer.public_key, role)
        self.targets, self.snapshot, self.timestamp = (
            Targets(expires=expires),
            Snapshot(expires=expires),
            Timestamp(expires=expires),
        )
        (folder / "targets").mkdir(parents=True)

    def publish(self, version: int, files: dict[str, bytes], *, expires: datetime | None = None) -> None:
        for role in (self.targets, self.snapshot, self.timestamp):
            role.version = version
        if expires:
            self.timestamp.expires = expires
        self.targets.targets = {}
        for name, data in files.items():
            info = TargetFile.from_data(name, data)
            self.targets.targets[name] = info
            (self.folder / "targets" / f"{info.hashes['sha256']}.{name}").write_bytes(data)
        self.snapshot.meta["targets.json"] = MetaFile(version=version)
        self.timestamp.snapshot_meta = MetaFile(version=version)
        self._write("root", self.root, f"{self.root.version}.root.json")
        self._write("targets", self.targets, f"{version}.targets.json")
        self._write("snapshot", self.snapshot, f"{version}.snapshot.json")
        self._write("timestamp", self.timestamp, "timestamp.json")

    def _write(self, role: str, signed: Any, name: str) -> None:
        metadata = Metadata(signed)
        metadata.sign(self.signers[role])
        metadata.to_file(str(self.folder / name))

    @property
    def first_root(self) -> Path:
        return self.folder / "1.root.json"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, fake: FakeSigstore) -> Iterator[tuple[Repository, str]]:
    made = Repository(tmp_path / "tuf")
    made.publish(2, contents(fake))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(made.folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def contents(fake: FakeSigstore) -> dict[str, bytes]:
    return {
        "trusted_root.json": json.dumps(fake.trusted_root()).encode(),
        "signing_config.v0.2.json": json.dumps(fake.signing_config()).encode(),
    }


def test_fetch_then_sign_and_verify_with_what_was_fetched(
    pratique: Any, fake: FakeSigstore, repository: tuple[Repository, str], tmp_path: Path, model: Path
) -> None:
    made, url = repository
    folder = tmp_path / "fetched"
    code, out, err = pratique("trust", "fetch", folder, "--url", url, "--first-root", made.first_root)
    assert (code, out.split()) == (0, [str(folder / "trusted_root.json"), str(folder / "signing_config.json")]), err
    (tmp_path / "token").write_text(fake.token(tokens.email("dev@example.com")))
    words = ["--signing-config", folder / "signing_config.json", "--trusted-root", folder / "trusted_root.json"]
    assert pratique("sign", model, "--identity-token", tmp_path / "token", *words)[0] == 0
    entry = f'{{email: dev@example.com, issuer: "https://accounts.google.com", root: {folder / "trusted_root.json"}}}'
    assert pratique("verify", model, "--trust", entry)[0] == 0
    code, out, _ = pratique("trust", "show", folder / "trusted_root.json")
    assert code == 0
    for words in ("transparency log", "certificate log", "certificate authority", "timestamp authority", "counts from"):
        assert words in out


def test_a_second_fetch_needs_no_first_root_and_brings_what_is_new(
    fake: FakeSigstore, repository: tuple[Repository, str], tmp_path: Path
) -> None:
    made, url = repository
    fetching.fetch(url, into=tmp_path / "kept", first_root=made.first_root.read_bytes())
    newer = {**contents(FakeSigstore())}
    made.publish(3, newer)
    assert fetching.fetch(url, into=tmp_path / "kept").trusted_root == newer["trusted_root.json"]


ATTACKS: dict[str, Callable[[Repository, FakeSigstore], Any]] = {
    "another file in the place of the target": lambda made, fake: [
        path.write_bytes(contents(FakeSigstore())["trusted_root.json"])
        for path in made.folder.glob("targets/*.trusted_root.json")
    ],
    "metadata that expired": lambda made, fake: made.publish(
        3, contents(fake), expires=datetime.now(timezone.utc) - timedelta(days=1)
    ),
    "metadata by a stranger": lambda made, fake: (
        made.signers.update(targets=CryptoSigner.generate_ecdsa()), made.publish(3, contents(fake))
    ),
    "no trusted root in it": lambda made, fake: made.publish(3, {"other.json": b"{}"}),
    "a trusted root that is none": lambda made, fake: made.publish(3, {"trusted_root.json": b"{}"}),
    "metadata that is no JSON": lambda made, fake: (made.folder / "timestamp.json").write_bytes(b"hello"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_repository_that_is_not_honest(
    pratique: Any, fake: FakeSigstore, repository: tuple[Repository, str], tmp_path: Path, name: str
) -> None:
    made, url = repository
    ATTACKS[name](made, fake)
    code, out, err = pratique("trust", "fetch", tmp_path / "fetched", "--url", url, "--first-root", made.first_root)
    assert (code in (2, 3), out) == (True, ""), err
    assert not (tmp_path / "fetched").exists()


def test_an_older_state_is_put_back(fake: FakeSigstore, repository: tuple[Repository, str], tmp_path: Path) -> None:
    made, url = repository
    first = made.first_root.read_bytes()
    old = contents(fake)
    made.publish(3, contents(FakeSigstore()))
    fetching.fetch(url, into=tmp_path / "kept", first_root=first)
    made.publish(2, old)
    with pytest.raises(ServiceError, match="not vouched for"):
        fetching.fetch(url, into=tmp_path / "kept", first_root=first)


def test_a_first_root_of_somebody_else(repository: tuple[Repository, str], tmp_path: Path, fake: FakeSigstore) -> None:
    _, url = repository
    stranger = Repository(tmp_path / "stranger")
    stranger.publish(2, contents(fake))
    with pytest.raises(ServiceError):
        fetching.fetch(url, into=tmp_path / "kept", first_root=stranger.first_root.read_bytes())
    with pytest.raises(UsageError, match="no first root"):
        fetching.fetch(url, into=tmp_path / "other")


def test_a_repository_that_does_not_answer_may_be_asked_again(repository: tuple[Repository, str], tmp_path: Path) -> None:
    made, _ = repository
    with pytest.raises(ServiceError) as caught:
        fetching.fetch("http://127.0.0.1:9", into=tmp_path / "kept", first_root=made.first_root.read_bytes())
    assert caught.value.retryable


def test_the_first_roots_of_sigstores_own_instances_come_with_the_package() -> None:
    for url in (fetching.SIGSTORE, fetching.STAGING):
        data = fetching._packaged(url)
        assert data is not None and json.loads(data)["signed"]["_type"] == "root"
    assert fetching._packaged("https://tuf.example") is None


@pytest.mark.parametrize(
    "words",
    [["--staging", "--url", "http://x.invalid"], ["--first-root", "x"], ["--url", "http://x.invalid", "--first-root", "none"]],
)
def test_a_fetch_that_makes_no_sense(pratique: Any, tmp_path: Path, words: list[str]) -> None:
    assert pratique("trust", "fetch", tmp_path / "fetched", *words)[0] == 2


def test_show_of_something_else(pratique: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    code, _, err = pratique("trust", "show", tmp_path / "x.json")
    assert (code, "is not a trusted root" in err, "pratique trust fetch" in err) == (2, True, True)
