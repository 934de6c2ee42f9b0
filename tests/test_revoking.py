"""`pratique revoke`: one entry more in a policy, and not a byte else; whatever is not certain to be that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.errors import Error, PolicyError, UsageError
from pratique.policies import Policy
from pratique.revoking import revoke
from pratique.signing import KeySigner
from tests.conftest import Pratique

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
HEAD = "version: 1\nsubject: model\ntrust:\n  gate: {key: gate.pub}   # ours\n"
TAIL = "\n# what must hold\nrequire:\n  artifact: {deny_at: medium}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    KeySigner.generate().save(tmp_path / "gate.key")
    KeySigner.generate().save(tmp_path / "lost.key")
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


FORMS = {
    "none yet": "",
    "an empty list": "revoked: []\n",
    "one in brackets": f"revoked: [{{digest: '{B}', reason: old}}]  # since May\n",
    "one in a line": f"revoked:\n  - {{digest: '{B}', reason: old}}  # since May\n",
    "one in lines": f"revoked:\n- digest: {B}\n  reason: old\n",
    "wide": f"revoked:\n    -   digest: {B}\n        reason: old\n\n",
    "in brackets over lines": f"revoked: [\n  {{digest: '{B}', reason: old}},\n]\n",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ["before", "last", "last, without a line's end"])
def test_the_entry_is_added_and_nothing_else_is_touched(folder: Path, form: str, order: str) -> None:
    text = HEAD + FORMS[form] + TAIL if order == "before" else HEAD + TAIL + FORMS[form]
    path = written(folder, text.rstrip("\n") if "without" in order else text)
    before = path.read_text()
    after = revoke(path, {"digest": A}, reason="trojan: incident 17")
    assert after.revoked[A] == "trojan: incident 17"
    assert set(after.revoked) == {A} | ({B} if B in text else set())
    kept = iter(path.read_text())
    assert all(letter in kept for letter in before), "every letter that was there still is, in the same order"
    assert Policy.load(path).digest == after.digest


def test_two_in_a_row_and_the_same_one_twice(folder: Path) -> None:
    path = written(folder, HEAD + TAIL)
    revoke(path, {"digest": A}, reason="one")
    assert set(revoke(path, {"digest": B}, reason="two").revoked) == {A, B}
    before = path.read_bytes()
    assert set(revoke(path, {"digest": A}, reason="again").revoked) == {A, B}
    assert path.read_bytes() == before


def test_a_policy_that_is_a_link_is_not_replaced_by_a_copy(folder: Path) -> None:
    path = written(folder, HEAD + TAIL)
    (folder / "link.yaml").symlink_to(path)
    with pytest.raises(UsageError, match="symbolic link"):
        revoke(folder / "link.yaml", {"digest": A}, reason="x")
    assert (folder / "link.yaml").is_symlink() and path.read_text() == HEAD + TAIL


def test_many_revocations_at_once_are_all_kept(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path, digests = written(folder, HEAD + TAIL), [f"sha256:{number:064x}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: revoke(path, {"digest": one}, reason="x"), digests))
    assert set(Policy.load(path).revoked) == set(digests)


def test_a_revoked_key_stays_revoked_when_its_file_holds_the_next_one(pratique: Pratique, folder: Path) -> None:
    path = written(folder, HEAD + TAIL)
    lost = KeySigner.load(folder / "lost.key").trusted().fingerprint
    assert pratique("revoke", "--key", folder / "lost.pub", "--policy", path, "--reason", "lost")[0] == 0
    for name in ("lost.key", "lost.pub"):
        (folder / name).unlink()
    KeySigner.generate().save(folder / "lost.key")
    assert set(Policy.load(path).revoked) == {lost}


def test_keys_and_identities(folder: Path) -> None:
    path = written(folder, HEAD + TAIL)
    lost = KeySigner.load(folder / "lost.key").trusted().fingerprint
    assert lost in revoke(path, {"key": "lost.pub"}, reason="lost").revoked
    assert len(revoke(path, {"identity": "a@example.com", "issuer": "https://issuer.example"}, reason="left").revoked) == 2


@pytest.mark.parametrize(
    "text",
    [
        "{version: 1, trust: {gate: {key: gate.pub}}, require: {artifact: {}}}\n", HEAD + "revoked:\n" + TAIL,
        HEAD + "revoked: 3\n" + TAIL, "hello", "", HEAD, HEAD + "revokd: []\n" + TAIL,
    ],
)  # fmt: skip
def test_a_policy_that_is_not_edited(folder: Path, text: str) -> None:
    path = written(folder, text)
    with pytest.raises(PolicyError):
        revoke(path, {"digest": A}, reason="x")
    assert path.read_text() == text


@pytest.mark.parametrize(
    "what", [{"digest": "sha256:12"}, {"key": "absent.pub"}, {"digest": A, "key": "lost.pub"}, {}, {"identity": "a"}]
)
def test_an_entry_that_is_none(folder: Path, what: dict[str, str]) -> None:
    path = written(folder, HEAD + TAIL)
    with pytest.raises(Error):
        revoke(path, what, reason="x")
    assert path.read_text() == HEAD + TAIL


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_any_reason_is_a_text_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, reason: str) -> None:
    folder = tmp_path_factory.mktemp("policy")
    KeySigner.generate().save(folder / "gate.key")
    path = written(folder, HEAD + TAIL)
    try:
        after = revoke(path, {"digest": A}, reason=reason)
    except UsageError:
        assert not reason.strip()
        return
    assert set(after.revoked) == {A} and set(after.require) == {"artifact"}


def test_the_command(pratique: Pratique, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "policies").mkdir()
    path = folder / "policies" / "policy.yaml"
    path.write_text(HEAD.replace("gate.pub", "../gate.pub") + TAIL)
    monkeypatch.chdir(folder)
    assert pratique("revoke", A, "--policy", path, "--reason", "trojan")[0] == 0
    assert pratique("revoke", "--key", "lost.pub", "--policy", "policies/policy.yaml", "--reason", "lost")[0] == 0
    lost = KeySigner.load(folder / "lost.key").trusted().fingerprint
    assert f'{{digest: "{lost}", reason: "lost (lost.pub)"}}' in path.read_text()
    (folder / "trojan.bin").write_bytes(b"x")
    assert pratique("revoke", "trojan.bin", "--policy", path, "--reason", "a file")[0] == 0
    assert pratique("revoke", "absent.bin", "--policy", path, "--reason", "a file")[0] == 3
    for words in ([], [A, "--key", "lost.pub"], ["--identity", "a@b"], ["--issuer", "x"]):
        assert pratique("revoke", *words, "--policy", path, "--reason", "x")[0] == 2
    assert pratique("revoke", A, "--policy", folder / "absent.yaml", "--reason", "x")[0] == 2
