"""Production, looked at again: what was right when it was promoted, and is not any more."""

from __future__ import annotations

import functools
import json
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import auditing
from pratique.auditing import Audited, audit
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.promotion import promote
from pratique.recalling import recall
from pratique.remembering import Memory
from pratique.signing import KeySigner
from pratique.store import Store
from pratique.testing import folder_of
from tests.conftest import Pratique

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
PROMOTER, MALLORY = KeySigner.generate(), KeySigner.generate()


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    return Policy.load(policy_file)


@pytest.fixture
def production(model: Path, policy: Policy, store: Store, signer: KeySigner, tmp_path: Path) -> Path:
    """Two channels, honestly promoted."""
    other = folder_of(tmp_path / "other", {"weights.bin": b"other"})
    for channel, path in (("production", model), ("canary", other)):
        pass_gate(str(path), policy=policy, store=store, signer=signer, now=NOW).require()
        promote(
            str(path), policy=policy, store=store, signer=PROMOTER, destination=str(tmp_path / "production"), channel=channel,
            now=NOW,
        )  # fmt: skip
    return tmp_path / "production"


@pytest.fixture
def look(production: Path, policy: Policy, store: Store) -> Any:
    def run(**more: Any) -> dict[str, Audited]:
        given = dict(policy=policy, store=store, trusted=[PROMOTER.trusted("promoter")], now=NOW + HOUR)
        return {one.channel: one for one in audit(str(production), **{**given, **more})}

    return run


def states(found: dict[str, Audited]) -> dict[str, str]:
    return {name: one.state for name, one in found.items()}


def bytes_of(production: Path, one: Audited) -> Path:
    return production / "sha256" / one.digest.removeprefix("sha256:")


def test_production_as_it_was_promoted(look: Any) -> None:
    found = look()
    assert states(found) == {"production": "holds", "canary": "holds"}
    assert found["production"].sequence == 1 and found["production"].until.startswith("2026-02-01T12")


def test_bytes_that_were_swapped_after_the_promotion(look: Any, production: Path) -> None:
    place = bytes_of(production, look()["canary"])
    (place / "weights.bin").chmod(0o644)
    (place / "weights.bin").write_bytes(b"trojan")
    found = look()
    assert states(found) == {"production": "holds", "canary": "changed"}
    shutil.rmtree(place)
    assert states(look())["canary"] == "changed"


@pytest.mark.parametrize("wound", [b"", b"{}", b"hello"])
def test_a_pointer_that_was_overwritten(look: Any, production: Path, wound: bytes) -> None:
    (production / "channels" / "canary.sigstore.json").write_bytes(wound)
    assert states(look()) == {"production": "holds", "canary": "void"}


def test_a_pointer_by_somebody_else(look: Any) -> None:
    assert set(states(look(trusted=[MALLORY.trusted()])).values()) == {"void"}


def test_a_pointer_that_was_copied_to_another_channel(look: Any, production: Path) -> None:
    channels = production / "channels"
    shutil.copy(channels / "canary.sigstore.json", channels / "beta.sigstore.json")
    assert states(look()) == {"production": "holds", "canary": "holds", "beta": "void"}


def test_a_date_that_has_passed(look: Any, policy: Policy) -> None:
    found = look(now=NOW + timedelta(days=2))
    assert set(states(found).values()) == {"denied"}  # the evidence is too old as well, and that is said
    assert any("old" in reason for reason in found["canary"].reasons)


def test_a_policy_that_has_become_stricter(look: Any, policy_file: Path) -> None:
    policy_file.write_text(policy_file.read_text().replace("max: 3", "max: 1"))
    found = look(policy=Policy.load(policy_file))
    assert states(found) == {"production": "denied", "canary": "holds"}
    assert "at most 1" in found["production"].reasons[0]


@pytest.mark.parametrize("by", ["the policy", "the reader's trust"])
def test_an_artifact_that_was_revoked(look: Any, policy_file: Path, by: str) -> None:
    digest = look()["canary"].digest
    if by == "the policy":
        policy_file.write_text(policy_file.read_text() + f"revoked: [{{digest: '{digest}', reason: trojan}}]\n")
        found = look(policy=Policy.load(policy_file))
    else:
        found = look(trusted=[PROMOTER.trusted().renamed("promoter", frozenset({digest}))])
    assert states(found) == {"production": "holds", "canary": "revoked"}


def test_evidence_that_somebody_deleted(look: Any, store: Store) -> None:
    shutil.rmtree(Path(store.uri) / "evidence")
    assert set(states(look()).values()) == {"denied"}


def test_a_gates_key_makes_the_evidence_that_is_missing_or_too_old(look: Any, store: Store, signer: KeySigner) -> None:
    shutil.rmtree(Path(store.uri) / "evidence")
    assert set(states(look(gate=signer)).values()) == {"holds"}
    late = NOW + timedelta(days=2)
    assert set(states(look(gate=signer, now=late)).values()) == {"lapsed"}


def test_a_promoters_key_renews_what_is_admitted_and_nothing_else(
    look: Any, signer: KeySigner, production: Path, policy_file: Path
) -> None:
    policy_file.write_text(policy_file.read_text().replace("max: 3", "max: 1"))
    late, strict = NOW + timedelta(days=2), Policy.load(policy_file)
    found = look(gate=signer, promoter=PROMOTER, now=late, policy=strict)
    assert states(found) == {"production": "denied", "canary": "renewed"}
    assert (found["canary"].sequence, found["canary"].until[:10]) == (2, "2026-02-03")
    after = look(now=late + HOUR, policy=strict)
    assert states(after) == {"production": "denied", "canary": "holds"}
    assert after["canary"].digest == found["canary"].digest


def test_nobody_else_renews(look: Any, signer: KeySigner) -> None:
    found = look(gate=signer, promoter=MALLORY, now=NOW + timedelta(days=2))
    assert set(states(found).values()) == {"unknown"}
    assert "not one of ours" in found["canary"].reasons[0]


def test_an_older_version_of_a_check_is_asked_again(look: Any, monkeypatch: pytest.MonkeyPatch, signer: KeySigner) -> None:
    monkeypatch.setattr(auditing, "_version", lambda check: "2")
    assert set(states(look()).values()) == {"denied"}
    assert set(states(look(gate=signer)).values()) == {"holds"}


def test_a_channel_that_is_not_there(look: Any) -> None:
    found = look(only=["production", "beta"])
    assert states(found) == {"production": "holds", "beta": "unknown"}


def test_a_destination_under_another_name(look: Any, production: Path, tmp_path: Path) -> None:
    assert set(states(look(known_as="s3://elsewhere")).values()) == {"void"}
    assert set(states(look(known_as=production.as_uri())).values()) == {"holds"}


# --- with a memory ------------------------------------------------------------------------------------------------------


def test_what_is_remembered_is_not_read_and_what_changed_is(
    look: Any, production: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    for path in production.rglob("*"):
        os.utime(path, (1, 1))
    monkeypatch.setattr("pratique.remembering._FRESH", -(10**18))  # else nothing is remembered in the second of its writing
    with Memory() as memory:
        known = functools.partial(recall, memory)
        assert {one.remembered for one in look(recall=known).values()} == {0}
        again = look(recall=known)
        assert set(states(again).values()) == {"holds"}
        assert sum(one.remembered for one in again.values()) == sum(
            len(list(bytes_of(production, one).iterdir())) for one in again.values()
        )
        weights = bytes_of(production, again["canary"]) / "weights.bin"
        weights.chmod(0o644)
        weights.write_bytes(b"OTHER")
        assert states(look(recall=known)) == {"production": "holds", "canary": "changed"}


# --- what is another since then -----------------------------------------------------------------------------------------


def test_what_has_changed_since_the_last_audit(look: Any, production: Path) -> None:
    before = auditing.as_json(str(production), list(look().values()), now=NOW)
    assert auditing.changes(before, list(look().values())) == []
    (production / "channels" / "canary.sigstore.json").unlink()
    shutil.rmtree(production / "channels" / "canary")
    shutil.copy(production / "channels" / "production.sigstore.json", production / "channels" / "beta.sigstore.json")
    told = auditing.changes(before, list(look().values()))
    assert told == ["beta is new: void", "canary is gone"]
    assert auditing.changes({"channels": "nonsense"}, []) == []


def test_a_page_quotes_strangers(look: Any, production: Path) -> None:
    from pratique.audit_pages import as_page

    hostile = Audited(channel="<b>x", state="void", reasons=("<script>alert(1)</script>",), fixes=("<i>",), digest="", name="")
    drawn = as_page("s3://key:hunter2@bucket", [hostile, *look().values()], now=NOW, changes=["<u>"])
    assert not any(one in drawn for one in ("<script>", "<b>x", "<i>", "<u>", "hunter2"))
    assert drawn.index("void") < drawn.index("holds"), "what needs somebody comes first"


# --- on the command line ------------------------------------------------------------------------------------------------


def test_the_command(
    pratique: Pratique, model: Path, policy_file: Path, signer: KeySigner, store: Store, tmp_path: Path
) -> None:
    PROMOTER.save(tmp_path / "promoter.key")
    signer_file = policy_file.parent / "gate.key"
    if not signer_file.exists():
        signer.save(tmp_path / "signer.key")
        signer_file = tmp_path / "signer.key"
    common = ["--policy", policy_file, "--store", store.uri]
    assert pratique("gate", model, *common, "--key", signer_file)[0] == 0
    to = tmp_path / "production"
    assert pratique("promote", model, *common, "--key", tmp_path / "promoter.key", "--to", to)[0] == 0
    words = ["audit", to, *common, "--trust", tmp_path / "promoter.pub"]
    code, out, err = pratique(*words)
    assert (code, err) == (0, "") and "1 of 1 channels" in out
    (tmp_path / "first.json").write_text(pratique(*words, "--format", "json")[1])
    code, out, _ = pratique(*words, "--renew", tmp_path / "promoter.key", "--fast")
    assert code == 0 and "renewed  production" in out
    (to / "channels" / "production.sigstore.json").write_text("{}")
    code, out, _ = pratique(*words, "--previous", tmp_path / "first.json", "--format", "json", "--report", tmp_path / "a.html")
    assert "0 of 1 as they should be" in (tmp_path / "a.html").read_text()
    told = json.loads(out)
    assert (code, told["sound"], told["channels"][0]["state"]) == (1, False, "void")
    assert any("is void, and was holds" in one for one in told["changes"])


def test_bad_input_on_the_command_line(pratique: Pratique, policy_file: Path, tmp_path: Path) -> None:
    PROMOTER.save(tmp_path / "promoter.key")
    trust = ["--trust", tmp_path / "promoter.pub"]
    code, out, _ = pratique("audit", tmp_path / "nowhere", "--policy", policy_file, *trust)
    assert code == 1 and "nothing was ever promoted there" in out, "a mistyped destination must not look sound"
    (tmp_path / "no.json").write_text("[]")
    for previous in ("no.json", "absent.json", "."):
        words = ["--policy", policy_file, *trust, "--previous", tmp_path / previous]
        assert pratique("audit", tmp_path, *words)[:2] == (2, "")
    assert pratique("audit", tmp_path, "--policy", tmp_path / "absent.yaml", *trust)[0] == 2
    assert pratique("audit", tmp_path, "--policy", policy_file)[0] == 2


# --- old pointers, single files, and whoever is faster ------------------------------------------------------------------


@pytest.fixture
def moved(production: Path, model: Path, policy: Policy, store: Store, signer: KeySigner, tmp_path: Path) -> Path:
    """A second promotion to `production`."""
    newer = folder_of(tmp_path / "newer", {"weights.bin": b"newer"})
    pass_gate(str(newer), policy=policy, store=store, signer=signer, now=NOW).require()
    promote(str(newer), policy=policy, store=store, signer=PROMOTER, destination=str(production), now=NOW)
    return production


def put_back(production: Path) -> None:
    (first,) = (production / "channels" / "production").glob("00000001-*")
    shutil.copy(first, production / "channels" / "production.sigstore.json")


@pytest.mark.parametrize("late", [HOUR, timedelta(days=30)])
def test_an_old_pointer_put_back_is_neither_sound_nor_renewed(
    look: Any, moved: Path, signer: KeySigner, late: timedelta
) -> None:
    put_back(moved)
    found = look(gate=signer, promoter=PROMOTER, now=NOW + late)
    assert found["production"].state == "void" and "put back" in found["production"].reasons[0]
    assert not list((moved / "channels" / "production").glob("00000003-*"))


def test_an_old_pointer_put_back_without_its_history(look: Any, moved: Path) -> None:
    before = auditing.as_json(str(moved), list(look().values()), now=NOW)
    put_back(moved)
    for path in (moved / "channels" / "production").glob("00000002-*"):
        path.unlink()
    assert look()["production"].state == "holds"  # nothing that lies there tells
    assert look(previous=before)["production"].state == "void"


def test_a_channel_that_somebody_deleted(look: Any, production: Path) -> None:
    before = auditing.as_json(str(production), list(look().values()), now=NOW)
    (production / "channels" / "canary.sigstore.json").unlink()
    assert look()["canary"].state == "unknown"  # its history is still there
    shutil.rmtree(production / "channels" / "canary")
    assert "canary" not in look()
    assert look(previous=before)["canary"].state == "unknown"


def test_a_promotion_meanwhile_is_not_undone_by_a_renewal(
    look: Any, moved: Path, model: Path, policy: Policy, store: Store, signer: KeySigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = auditing._Auditor._bytes

    def slow(self: Any, one: Any) -> Any:
        promote(str(model), policy=policy, store=store, signer=PROMOTER, destination=str(moved), now=NOW)
        return real(self, one)

    monkeypatch.setattr(auditing._Auditor, "_bytes", slow)
    found = look(gate=signer, promoter=PROMOTER, only=["production"])
    assert found["production"].state == "unknown" and "moved on to number 3" in found["production"].reasons[0]


def test_a_key_that_the_policy_has_revoked_counts_for_nothing(look: Any, policy_file: Path, signer: KeySigner) -> None:
    mark = PROMOTER.trusted().fingerprint
    policy_file.write_text(policy_file.read_text() + f"revoked: [{{digest: '{mark}', reason: stolen}}]\n")
    found = look(policy=Policy.load(policy_file), gate=signer, promoter=PROMOTER)
    assert set(states(found).values()) == {"revoked"}


@pytest.fixture
def single(policy: Policy, store: Store, signer: KeySigner, tmp_path: Path) -> Path:
    """A single file in production."""
    path = folder_of(tmp_path / "single", {"model.bin": b"numbers"}) / "model.bin"
    pass_gate(str(path), policy=policy, store=store, signer=signer, now=NOW).require()
    promote(str(path), policy=policy, store=store, signer=PROMOTER, destination=str(tmp_path / "production"), now=NOW)
    return next((tmp_path / "production" / "sha256").glob("*.file"))


def replaced_by_a_link(place: Path) -> None:
    shutil.move(place, place.parents[2] / "elsewhere")
    place.symlink_to(place.parents[2] / "elsewhere")


def renamed(place: Path) -> None:
    (place / "model.bin").rename(place / "model.pkl")


def a_neighbour(place: Path) -> None:
    (place / "other.bin").write_bytes(b"")


def an_empty_folder_in_it(place: Path) -> None:
    (place / "sub").mkdir()


def a_folder_beside_it(place: Path) -> None:
    folder_of(place.with_suffix(""), {"model.bin": b"trojan"})


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    "attack",
    [replaced_by_a_link, renamed, a_neighbour, an_empty_folder_in_it, a_folder_beside_it],
    ids=lambda one: one.__name__,
)
def test_a_single_file_in_production(single: Path, policy: Policy, store: Store, attack: Any, fast: bool) -> None:
    def state() -> str:
        given = dict(policy=policy, store=store, trusted=[PROMOTER.trusted()], now=NOW + HOUR)
        if not fast:
            return audit(str(single.parents[1]), **given)[0].state
        with Memory() as memory:
            return audit(str(single.parents[1]), recall=functools.partial(recall, memory), **given)[0].state

    assert state() == "holds"
    single.chmod(0o755)
    attack(single)
    assert state() == "changed"


def test_a_list_of_digests_beside_a_folder_that_was_changed(look: Any, production: Path) -> None:
    """The listing of a folder has the folder's digest."""
    place = bytes_of(production, look()["canary"])
    import hashlib

    lines = "".join(f"{hashlib.sha256(one.read_bytes()).hexdigest()}  {one.name}\n" for one in sorted(place.iterdir()))
    folder_of(place.with_name(place.name + ".file"), {"x": lines.encode()})
    (place / "weights.bin").chmod(0o644)
    (place / "weights.bin").write_bytes(b"trojan")
    with Memory() as memory:
        assert look(recall=functools.partial(recall, memory))["canary"].state == "changed"
    assert look()["canary"].state == "changed"


def test_a_renewal_keeps_the_name(look: Any, signer: KeySigner) -> None:
    before = {name: one.name for name, one in look().items()}
    assert {name: one.name for name, one in look(gate=signer, promoter=PROMOTER).items()} == before
