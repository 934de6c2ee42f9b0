"""With the reference implementation, model-signing 1.1.1, both ways: its folders for us, and ours for it.

Where it cannot, the test says which of its bugs it is, so that an update of it shows here first.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pratique import oms
from pratique.errors import ArtifactRefused, WrongSigner, WrongSubject
from pratique.oms import Allow, Hashing
from pratique.signing import KeySigner, Subject, TrustedCertificate, publishers
from pratique.testing import certificates, folder_of
from pratique.testing.sigstore import FakeSigstore, tokens

from .forging import KEY, SUPPLIER, signed, statement_of
from .test_oms import FILES, digests

HASHES = {"sha256": "sha256", "blake2b": "blake2", "blake3": "blake3"}
"""Ours, and what its API calls them."""

SHARDED = {name: data for name, data in FILES.items() if data and ":" not in name}
"""Neither empty files, which the format leaves out, nor colons, which its shards cannot name."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "base-model", FILES)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "base-model", SHARDED | {"large.bin": bytes(range(250)) * 10})


def key_files(folder: Path, curve: str = "P-256") -> tuple[KeySigner, Path, Path]:
    key = KeySigner.generate(curve)
    public = key.save(folder / f"{curve}.key")
    return key, folder / f"{curve}.key", public


def hashing_of(hash_type: str = "sha256", shard_size: int = 0, **ignored: Any) -> Any:
    from model_signing import hashing as theirs

    config = theirs.Config()
    name: Any = HASHES[hash_type]
    if shard_size:
        config.use_shard_serialization(hashing_algorithm=name, shard_size=shard_size)
    else:
        config.use_file_serialization(hashing_algorithm=name)
    return config.set_ignored_paths(**{"paths": ["model.sig"], **ignored})


def they_sign(folder: Path, private: Path, target: Path, hashing: Any = None) -> bytes:
    from model_signing import signing

    signing.Config().use_elliptic_key_signer(private_key=private).set_hashing_config(hashing or hashing_of()).sign(
        folder, target
    )
    return target.read_bytes()


def they_verify(folder: Path, signature: Path, public: Path, hashing: Any = None) -> None:
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(public_key=public)
    (config.set_hashing_config(hashing) if hashing else config).verify(folder, signature)


# --- whole files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_they_verify_what_we_sign(folder: Path, tmp_path: Path, curve: str) -> None:
    key, _, public = key_files(tmp_path, curve)
    inside, detached = oms.write_signature(folder, key), tmp_path / "detached.sig"
    they_verify(folder, inside, public)
    inside.unlink()
    they_verify(folder, oms.write_signature(folder, key, name=detached), public)
    (folder / "config.json").write_bytes(b"{} ")
    with pytest.raises(ValueError, match=r"Hash mismatch for 'config\.json'"):
        they_verify(folder, detached, public)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_we_read_what_they_sign(folder: Path, tmp_path: Path, curve: str) -> None:
    key, private, _ = key_files(tmp_path, curve)
    bundle = they_sign(folder, private, folder / "model.sig")
    manifest = oms.read(bundle, [key.trusted("supplier")])
    assert dict(manifest.entries) == digests(FILES)
    assert manifest.model == "base-model"
    assert set(manifest.ignore_paths) == {"model.sig", ".git", ".gitattributes", ".github", ".gitignore"}
    with pytest.raises(WrongSigner):
        oms.read(bundle, [SUPPLIER])


@pytest.mark.parametrize("hash_type", HASHES)
def test_every_hash_over_whole_files_both_ways(folder: Path, tmp_path: Path, hash_type: str) -> None:
    key, private, public = key_files(tmp_path)
    ours = oms.write_signature(folder, key, hashing=Hashing(hash_type=hash_type), name=tmp_path / "ours.sig")
    they_verify(folder, ours, public, hashing_of(hash_type))
    theirs = they_sign(folder, private, tmp_path / "theirs.sig", hashing_of(hash_type))
    manifest = oms.verify(folder, theirs, [key.trusted("supplier")])
    assert manifest.hashing == Hashing(hash_type=hash_type)
    assert manifest.entries == oms.read(ours.read_bytes(), [key.trusted("supplier")]).entries
    (folder / "a-b").write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"Hash mismatch for .*a-b"):
        they_verify(folder, ours, public, hashing_of(hash_type))
    with pytest.raises(WrongSubject, match="a-b was changed"):
        oms.verify(folder, theirs, [key.trusted("supplier")])


def test_what_is_left_out_both_ways(folder: Path, tmp_path: Path) -> None:
    key, private, public = key_files(tmp_path)
    ours = oms.write_signature(folder, key, ignore=["a", "config.json"], name=tmp_path / "ours.sig")
    they_verify(folder, ours, public)
    theirs = they_sign(folder, private, tmp_path / "theirs.sig", hashing_of(paths=["a", "config.json"]))
    trusted = [key.trusted("supplier")]
    assert oms.read(theirs, trusted).entries == oms.read(ours.read_bytes(), trusted).entries
    assert oms.verify(folder, theirs, trusted, allow={Allow.IGNORED_PATHS})
    with pytest.raises(WrongSubject, match=r"a/b/deep\.txt is there, but was not signed"):
        oms.verify(folder, theirs, trusted)


def test_they_verify_gits_own_files_if_told_to(folder: Path, tmp_path: Path) -> None:
    folder_of(folder, {".gitattributes": b"*"})
    _, private, public = key_files(tmp_path)
    signature = oms.write_signature(folder, KeySigner.load(private))
    with pytest.raises(ValueError, match="Missing files"):
        they_verify(folder, signature, public)
    they_verify(folder, signature, public, hashing_of(ignore_git_paths=False))


def test_the_key_is_named_as_they_name_it(tmp_path: Path, folder: Path) -> None:
    key, private, public = key_files(tmp_path)
    ours, theirs = json.loads(oms.sign(folder, key)), json.loads(they_sign(folder, private, tmp_path / "s.sig"))
    assert ours["verificationMaterial"] == theirs["verificationMaterial"]
    assert ours["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(public.read_bytes()).hexdigest()
    assert public.read_bytes() == key.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_we_read_their_single_file(tmp_path: Path) -> None:
    """They call it `.`, as no version of the specification does; so do the bundles of before 1.1."""
    key, private, _ = key_files(tmp_path)
    one = folder_of(tmp_path, {"one.bin": b"1"}) / "one.bin"
    theirs = they_sign(one, private, tmp_path / "one.sig")
    assert oms.verify(one, theirs, [key.trusted("supplier")]).entries == digests({"one.bin": b"1"})
    one.write_bytes(b"2")
    with pytest.raises(WrongSubject, match=r"one\.bin was changed"):
        oms.verify(one, theirs, [key.trusted("supplier")])


# --- by certificate ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path) -> dict[str, Any]:
    """A signer, the authority above it, and their files."""
    root = certificates.Authority.root("root")
    middle = root.intermediate("middle")
    signer = middle.signer("CN=release,O=Acme")
    signer.key.save(tmp_path / "leaf.key")
    return {
        "signer": signer,
        "trusted": root.trusted("acme", Subject(subject="CN=release,O=Acme")),
        "key": tmp_path / "leaf.key",
        "leaf": certificates.write_pem(tmp_path / "leaf.pem", signer.chain[:1]),
        "middle": certificates.write_pem(tmp_path / "middle.pem", [middle.certificate]),
        "root": certificates.write_pem(tmp_path / "root.pem", [root.certificate]),
    }


def they_verify_certificate(folder: Path, signature: Path, root: Path) -> None:
    from model_signing import verifying

    verifying.Config().use_certificate_verifier(certificate_chain=[root]).verify(folder, signature)


def test_they_verify_what_we_sign_by_certificate(folder: Path, tmp_path: Path, certified: dict[str, Any]) -> None:
    signature = oms.write_signature(folder, certified["signer"], name=tmp_path / "ours.sig")
    they_verify_certificate(folder, signature, certified["root"])
    (folder / "config.json").write_bytes(b"{} ")
    with pytest.raises(ValueError, match=r"Hash mismatch for .*config\.json"):
        they_verify_certificate(folder, signature, certified["root"])


def test_we_read_what_they_sign_by_certificate(folder: Path, tmp_path: Path, certified: dict[str, Any]) -> None:
    from model_signing import signing

    config = signing.Config().use_certificate_signer(
        private_key=certified["key"], signing_certificate=certified["leaf"], certificate_chain=[certified["middle"]]
    )
    config.set_hashing_config(hashing_of()).sign(folder, tmp_path / "theirs.sig")
    theirs = (tmp_path / "theirs.sig").read_bytes()
    manifest = oms.verify(folder, theirs, [certified["trusted"]])
    assert manifest.entries == digests(FILES)
    stranger = certificates.Authority.root("root").trusted("acme", Subject(subject="CN=release,O=Acme"))
    other = TrustedCertificate(name="acme", roots=certified["trusted"].roots, subject=Subject(subject="CN=other"))
    for trusted in (stranger, other, SUPPLIER):
        with pytest.raises(WrongSigner):
            oms.verify(folder, theirs, [trusted])


# --- keyless ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def issuer() -> Iterator[str]:
    """Where an identity provider describes itself: its client insists on reading that, though the token is at hand."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"authorization_endpoint": "http://127.0.0.1/auth", "token_endpoint": "http://127.0.0.1/token"}')

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("version", [1, 2])
def test_keyless_both_ways(folder: Path, tmp_path: Path, issuer: str, version: Any) -> None:
    from model_signing import signing, verifying

    claims, who = tokens.email("dev@example.com"), {"identity": "dev@example.com", "oidc_issuer": "https://accounts.google.com"}
    with FakeSigstore() as fake:
        written = fake.write(tmp_path / "fake", claims, version=version)
        trust = tmp_path / "trust.json"
        trust.write_text(
            json.dumps(
                {
                    "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                    "trustedRoot": json.loads(written.trusted_root.read_text()),
                    "signingConfig": json.loads(written.signing_config.read_text()),
                }
            )
        )
        signer = fake.signer(claims, tmp_path / "ours", version=version)
        ours = oms.write_signature(folder, signer, name=tmp_path / "ours.sig")
        verifying.Config().use_sigstore_verifier(**who, trust_config=trust).verify(folder, ours)

        theirs = signing.Config().use_sigstore_signer(identity_token=fake.token(claims), oidc_issuer=issuer, trust_config=trust)
        theirs.set_hashing_config(hashing_of()).sign(folder, tmp_path / "theirs.sig")
        trusted = fake.trusted("supplier", publishers.email("dev@example.com", "https://accounts.google.com"))
        stranger = fake.trusted("supplier", publishers.email("mallory@example.com", "https://accounts.google.com"))
    bundle = (tmp_path / "theirs.sig").read_bytes()
    assert oms.verify(folder, bundle, [trusted]).entries == digests(FILES)
    with pytest.raises(WrongSigner):
        oms.verify(folder, bundle, [stranger])


# --- shards -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b"])
@pytest.mark.parametrize("shard_size", [100, 2500, 1_000_000_000])
def test_we_read_their_shards(sharded: Path, tmp_path: Path, hash_type: str, shard_size: int) -> None:
    key, private, _ = key_files(tmp_path)
    theirs = they_sign(sharded, private, tmp_path / "theirs.sig", hashing_of(hash_type, shard_size))
    manifest = oms.verify(sharded, theirs, [key.trusted("supplier")])
    assert manifest.hashing == Hashing(hash_type=hash_type, shard_size=shard_size)
    assert manifest.sizes["large.bin"] == 2500
    (sharded / "large.bin").write_bytes(bytes(range(250)) * 9 + bytes(250))
    with pytest.raises(WrongSubject, match=r"large\.bin was changed"):
        oms.verify(sharded, theirs, [key.trusted("supplier")])


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b"])
def test_they_read_our_shards_but_for_one_word(sharded: Path, tmp_path: Path, hash_type: str) -> None:
    """The specification wants a shard's `algorithm` to be `sha256`; theirs must be `sha256-sharded-100`."""
    key, _, public = key_files(tmp_path)
    ours = oms.write_signature(sharded, key, hashing=Hashing(hash_type=hash_type, shard_size=100), name=tmp_path / "ours.sig")
    with pytest.raises(ValueError, match="Hash mismatch"):
        they_verify(sharded, ours, public, hashing_of(hash_type, 100))
    value = statement_of(ours.read_bytes())
    for one in value["predicate"]["resources"]:
        one["algorithm"] += "-sharded-100"
    (tmp_path / "worded.sig").write_bytes(signed(value, key))
    they_verify(sharded, tmp_path / "worded.sig", public, hashing_of(hash_type, 100))


# --- its bugs, which are not ours ---------------------------------------------------------------------------------------------


def test_bug_its_own_verifier_breaks_on_its_shards(sharded: Path, tmp_path: Path) -> None:
    """The shard size comes back as a float: TypeError. We verify it."""
    key, private, public = key_files(tmp_path)
    theirs = they_sign(sharded, private, tmp_path / "s.sig", hashing_of("sha256", 100))
    with pytest.raises(TypeError, match="float"):
        they_verify(sharded, tmp_path / "s.sig", public)
    assert oms.verify(sharded, theirs, [key.trusted("supplier")])


def test_bug_its_own_verifier_does_not_know_its_blake2(folder: Path, tmp_path: Path) -> None:
    """It writes `blake2b` and looks for `blake2`. We verify it."""
    key, private, public = key_files(tmp_path)
    theirs = they_sign(folder, private, tmp_path / "s.sig", hashing_of("blake2b"))
    with pytest.raises(ValueError, match="Unsupported hashing method blake2b"):
        they_verify(folder, tmp_path / "s.sig", public)
    assert oms.verify(folder, theirs, [key.trusted("supplier")])


def test_bug_its_command_line_insists_on_sha256(folder: Path, tmp_path: Path) -> None:
    """As its command line configures it: sha256, whatever was signed. We take the hash from the signature."""
    key, private, public = key_files(tmp_path)
    theirs = they_sign(folder, private, tmp_path / "s.sig", hashing_of("blake3"))
    with pytest.raises(ValueError, match="Hash mismatch"):
        they_verify(folder, tmp_path / "s.sig", public, hashing_of("sha256"))
    assert oms.verify(folder, theirs, [key.trusted("supplier")])


def test_bug_its_configuration_remembers_what_one_model_ignores(tmp_path: Path) -> None:
    """A verifier that has seen A, which ignores `evil.py`, overlooks `evil.py` in B. Ours remembers nothing."""
    from model_signing import verifying

    key, private, public = key_files(tmp_path)
    first = folder_of(tmp_path / "first", {"weights": b"1", "evil.py": b"ignored by its signer"})
    second = folder_of(tmp_path / "second", {"weights": b"2"})
    a = they_sign(first, private, tmp_path / "a.sig", hashing_of(paths=["evil.py"]))
    b = they_sign(second, private, tmp_path / "b.sig")
    folder_of(second, {"evil.py": b"import os"})
    shared = verifying.Config().use_elliptic_key_verifier(public_key=public)
    with pytest.raises(ValueError, match=r"evil\.py"):
        shared.verify(second, tmp_path / "b.sig")
    shared = verifying.Config().use_elliptic_key_verifier(public_key=public)
    shared.verify(first, tmp_path / "a.sig")
    shared.verify(second, tmp_path / "b.sig")  # through

    trusted = [key.trusted("supplier")]
    assert oms.verify(first, a, trusted, allow={Allow.IGNORED_PATHS})
    with pytest.raises(WrongSubject, match=r"evil\.py is there, but was not signed"):
        oms.verify(second, b, trusted, allow={Allow.IGNORED_PATHS})


def test_bug_it_cannot_verify_a_single_file_by_its_name(tmp_path: Path) -> None:
    """The specification wants the file's name in the manifest; it looks for `.`."""
    key, _, public = key_files(tmp_path)
    one = folder_of(tmp_path, {"one.bin": b"1"}) / "one.bin"
    ours = oms.write_signature(one, key)
    with pytest.raises(ValueError, match="Extra files"):
        they_verify(one, ours, public)
    they_verify(folder_of(tmp_path / "folder", {"one.bin": b"1"}), ours, public)
    assert oms.verify(one, ours.read_bytes(), [key.trusted("supplier")])


# --- any folder, every pair of writer and reader ----------------------------------------------------------------------------

PART = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/\\:"), min_size=1, max_size=6).filter(
    lambda part: part not in (".", "..") and not part.startswith(".git") and len(part.encode()) < 60
)
TREE = st.dictionaries(
    st.lists(PART, min_size=1, max_size=3).map("/".join), st.binary(min_size=1, max_size=20), min_size=1, max_size=5
)
HOW = st.sampled_from([("sha256", 0), ("blake2b", 0), ("blake3", 0), ("sha256", 7), ("blake2b", 7)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE, how=HOW)
def test_any_folder_survives_every_pair_of_writer_and_reader(tree: dict[str, bytes], how: tuple[str, int]) -> None:
    hash_type, shard_size = how
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        KEY.save(root / "k.key")
        try:
            folder = folder_of(root / "m", tree)
            ours = oms.sign(folder, KEY, hashing=Hashing(hash_type=hash_type, shard_size=shard_size))
        except (OSError, ArtifactRefused):
            assume(False)
        theirs = they_sign(folder, root / "k.key", root / "theirs.sig", hashing_of(hash_type, shard_size))
        read = [oms.verify(folder, bundle, [SUPPLIER]) for bundle in (ours, theirs)]
        assert read[0].entries == read[1].entries and read[0].sizes == read[1].sizes
        they_verify(folder, root / "theirs.sig", root / "k.pub", hashing_of(hash_type, shard_size))
        if not shard_size:
            (root / "ours.sig").write_bytes(ours)
            they_verify(folder, root / "ours.sig", root / "k.pub", hashing_of(hash_type))
