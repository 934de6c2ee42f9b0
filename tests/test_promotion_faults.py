"""Promoters that race, die, come late, or find somebody else's things in their way."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pratique import channels, signing
from pratique.channels import Channel
from pratique.errors import ArtifactRefused, Denied, EvidenceError, Stale, StoreConflict, StoreError, UsageError
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.promotion import Promotion, promote, read_channel, verify_promoted
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance
from pratique.store import Store, write_new
from pratique.testing import folder_of

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PROMOTER = KeySigner.generate()
OWN = PROMOTER.trusted("promoter")
Door = Callable[..., Promotion]


@pytest.fixture
def door(policy_file: Path, store: Store, signer: KeySigner, model: Path, tmp_path: Path) -> Door:
    """Promote the model, which the gate has admitted."""
    policy = Policy.load(policy_file)
    assert pass_gate(str(model), policy=policy, store=store, signer=signer, now=NOW).verdict.admitted

    def run(path: Path = model, **more: Any) -> Promotion:
        given = dict(policy=policy, store=store, signer=PROMOTER, destination=str(tmp_path / "production"), now=NOW)
        return promote(str(path), **{**given, **more})

    return run


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """An object store, in memory."""
    return f"memory://{tmp_path.name}/production"


def numbers(destination: str) -> list[int]:
    fs, root = fsspec.core.url_to_fs(destination)
    names = [path.rsplit("/", 1)[-1] for path in fs.find(f"{root}/channels/production")]
    return sorted(int(name[:8]) for name in names if not name.startswith("."))  # a killed process leaves a hidden file


def points_to(destination: str) -> int:
    vouched = read_channel(destination, "production", [OWN], now=NOW)
    verify_promoted(vouched.statement, destination)
    return vouched.statement.sequence


def clearance(done: Promotion, number: int, by: KeySigner = PROMOTER, **more: Any) -> bytes:
    one = done.clearance
    fields = {name: getattr(one, name) for name in one.__slots__}
    return signing.sign(Clearance(**{**fields, "sequence": number, **more}).statement(), INTOTO, by)


# --- two at once --------------------------------------------------------------------------------------------------------


def test_promoters_on_one_disk_take_turns(door: Door, tmp_path: Path) -> None:
    done: list[int] = []

    def work() -> None:
        done.extend(door().clearance.sequence for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == numbers(str(tmp_path / "production")) == list(range(1, 13))
    assert points_to(str(tmp_path / "production")) == 12


def test_two_take_one_number_in_an_object_store(door: Door, bucket: str) -> None:
    done = door(destination=bucket)
    first, second = Channel(bucket, "production"), Channel(bucket, "production")
    assert first.next(OWN) == second.next(OWN) == 2
    first.move(2, clearance(done, 2), OWN)
    with pytest.raises(StoreError, match="took number 2 at the same time") as caught:
        second.move(2, clearance(done, 2, run_id="other"), OWN)
    assert caught.value.retryable
    assert numbers(bucket) == [1, 2, 2]  # the history shows it
    assert points_to(bucket) == 2
    assert read_channel(bucket, "production", [OWN], now=NOW).statement.run_id == ""
    assert door(destination=bucket).clearance.sequence == 3


def test_neither_of_two_moves_if_both_see_the_other(door: Door, bucket: str) -> None:
    done = door(destination=bucket)
    mine, theirs = clearance(done, 2), clearance(done, 2, run_id="other")
    append(bucket, 2, mine)
    append(bucket, 2, theirs)
    for bundle in (mine, theirs):
        with pytest.raises(StoreError, match="at the same time"):
            Channel(bucket, "production").move(2, bundle, OWN)
    assert points_to(bucket) == 1


def test_whoever_is_overtaken_before_he_moves_the_pointer_leaves_it(door: Door, bucket: str) -> None:
    done = door(destination=bucket)
    slow, quick = Channel(bucket, "production"), Channel(bucket, "production")
    append(bucket, slow.next(OWN), clearance(done, 2))  # and then he is called away
    assert quick.next(OWN) == 3
    quick.move(3, clearance(done, 3), OWN)
    with pytest.raises(StoreError, match="nothing was moved"):
        slow.move(2, clearance(done, 2), OWN)
    assert points_to(bucket) == 3


def test_whoever_is_overtaken_while_he_moves_the_pointer_moves_it_on(
    door: Door, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = door(destination=bucket)
    real, overtaken = channels.replace, []

    def slow(fs: Any, path: str, data: bytes) -> None:
        if not overtaken:
            overtaken.append(True)
            other = Channel(bucket, "production")
            other.move(other.next(OWN), clearance(done, 3), OWN)
            assert points_to(bucket) == 3
        real(fs, path, data)

    monkeypatch.setattr(channels, "replace", slow)
    Channel(bucket, "production").move(2, clearance(done, 2), OWN)
    assert points_to(bucket) == 3


def append(destination: str, number: int, bundle: bytes) -> None:
    """A promoter's first step alone."""
    fs, root = fsspec.core.url_to_fs(destination)
    write_new(fs, f"{root}/channels/production/{number:08d}-{channels._hex(bundle)}.sigstore.json", bundle)


# --- one that dies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["disk", "bucket"])
def test_a_promoter_dies_between_history_and_pointer(door: Door, tmp_path: Path, bucket: str, where: str) -> None:
    destination = bucket if where == "bucket" else str(tmp_path / "production")
    done = door(destination=destination)
    append(destination, 2, clearance(done, 2))
    assert points_to(destination) == 1, "the old state stands"
    assert door(destination=destination).clearance.sequence == 3, "and no number is given twice"
    assert (numbers(destination), points_to(destination)) == ([1, 2, 3], 3)


def test_the_pointer_is_removed(door: Door, tmp_path: Path) -> None:
    """Numbers go on from the history, so that a deployment which has seen one is not shown it again for another model."""
    door()
    door()
    (tmp_path / "production" / "channels" / "production.sigstore.json").unlink()
    assert door().clearance.sequence == 3


def test_nobody_elses_entries_are_numbers(door: Door, tmp_path: Path) -> None:
    destination = str(tmp_path / "production")
    done = door()
    append(destination, 7, clearance(done, 7, by=KeySigner.generate()))
    append(destination, 8, b"junk")
    append(destination, 9, clearance(done, 2))  # ours, but of another number
    append(destination, 10, clearance(done, 10, channel="staging"))
    folder_of(tmp_path / "production" / "channels" / "production", {"99999999.sigstore.json": b"", "x": b""})
    assert door().clearance.sequence == 2
    assert points_to(destination) == 2


def test_an_upload_that_died_is_completed(door: Door, bucket: str, model: Path) -> None:
    fs = fsspec.filesystem("memory")
    done = door(destination=bucket)
    path = done.uri.removeprefix("memory:/")
    fs.rm(f"{path}/sub/config.json")
    with pytest.raises(EvidenceError):
        verify_promoted(done.clearance, bucket)
    assert door(destination=bucket).clearance.sequence == 2
    assert points_to(bucket) == 2
    fs.pipe_file(f"{path}/sub/config.json", b"torn")
    with pytest.raises(StoreConflict, match="other bytes"):
        door(destination=bucket)
    assert fs.cat_file(f"{path}/sub/config.json") == b"torn", "never over anything else"


KILLED = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from pratique.policies import Policy
from pratique.promotion import promote
from pratique.signing import KeySigner
from pratique.store import Store
model, policy, key, store, to, now = sys.argv[1:]
policy, signer, store = Policy.load(policy), KeySigner.load(Path(key)), Store(store)
print("ready", flush=True)
sys.stdin.readline()
while True:
    for path in model.split(","):
        promote(path, policy=policy, signer=signer, store=store, destination=to, now=datetime.fromisoformat(now))
"""


@pytest.mark.slow
def test_kill_9_at_any_moment(
    door: Door, policy_file: Path, store: Store, signer: KeySigner, model: Path, tmp_path: Path, home: Path
) -> None:
    """A dozen promoters are killed in the middle of it. After each, the channel holds, and the next promotion goes on."""
    other = folder_of(tmp_path / "other", {"weights.bin": bytes(3 << 20)})
    assert pass_gate(str(other), policy=Policy.load(policy_file), store=store, signer=signer, now=NOW).verdict.admitted
    PROMOTER.save(tmp_path / "promoter.key")
    to = str(tmp_path / "production")
    words = [f"{model},{other}", policy_file, tmp_path / "promoter.key", store.uri, to, NOW.isoformat()]
    dice, seen = random.Random(9), 0
    for _ in range(12):
        shutil.rmtree(tmp_path / "production" / "sha256", ignore_errors=True)  # so that there is something to copy each time
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(tmp_path / "site"), "PRATIQUE_HOME": str(home)},
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(dice.uniform(0.0, 0.25))
        process.kill()
        process.communicate()
        for path in (tmp_path / "production" / "sha256").glob("[0-9a-f]*"):
            assert path.name in (promoted.subject.hex for promoted in scanned(path)), "a copy under a name is whole"
        done = door(other)
        assert done.clearance.sequence > seen
        seen = done.clearance.sequence
        assert points_to(to) == seen
        assert len(set(numbers(to))) == len(numbers(to)), "no number twice"
    assert numbers(to) == list(range(1, seen + 1)), "and none left out"


def scanned(path: Path) -> list[Any]:
    from pratique.artifacts import open_artifact

    return [open_artifact(path)]


# --- one that comes late, or with another clock -------------------------------------------------------------------------


def test_evidence_lapses_while_the_artifact_is_copied(door: Door, tmp_path: Path) -> None:
    """A copy that takes hours must not put a clearance in place that nobody may use any more."""
    door()
    late = NOW + timedelta(days=1, milliseconds=-100)
    with pytest.raises(Denied) as caught:
        door(now=late, progress=lambda count: time.sleep(0.15))
    assert [one.rule for one in caught.value.verdict.denials] == ["stale"]
    assert numbers(str(tmp_path / "production")) == [1]
    assert points_to(str(tmp_path / "production")) == 1


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_promoters_clock_that_is_minutes_off(door: Door, tmp_path: Path, minutes: int) -> None:
    done = door(now=NOW + timedelta(minutes=minutes))
    assert read_channel(str(tmp_path / "production"), "production", [OWN], now=NOW).statement == done.clearance


def test_a_promoters_clock_that_is_behind(door: Door, tmp_path: Path) -> None:
    with pytest.raises(Denied) as caught:
        door(now=NOW - timedelta(minutes=6))
    assert [one.rule for one in caught.value.verdict.denials] == ["stale"]
    assert not (tmp_path / "production").exists()


def test_a_deployments_clock_that_is_behind(door: Door, tmp_path: Path) -> None:
    door()
    with pytest.raises(Stale):
        read_channel(str(tmp_path / "production"), "production", [OWN], now=NOW - timedelta(minutes=6))


# --- a destination that is in the way -----------------------------------------------------------------------------------


def test_another_promoter_never_ends_his_turn(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door()
    monkeypatch.setattr(channels, "PATIENCE", 0.1)
    with Channel(str(tmp_path / "production"), "production").turn(), pytest.raises(StoreError, match="all the time") as caught:
        door()
    assert caught.value.retryable
    assert points_to(str(tmp_path / "production")) == 1


@pytest.mark.parametrize("folder", ["sha256", "channels", "channels/production"])
def test_a_file_where_a_folder_belongs(door: Door, tmp_path: Path, folder: str) -> None:
    place = tmp_path / "production" / folder
    place.parent.mkdir(parents=True)
    place.write_text("")
    with pytest.raises(StoreError):
        door()
    place.unlink()
    assert points_to(str(tmp_path / "production")) if door() else False


def test_a_folder_where_the_pointer_belongs(door: Door, tmp_path: Path) -> None:
    folder_of(tmp_path / "production" / "channels" / "production.sigstore.json", {"x": b""})
    with pytest.raises(StoreError):
        door()


def test_a_link_where_the_copy_belongs(door: Door, tmp_path: Path, model: Path) -> None:
    """The same bytes are not enough: whoever owns what a link points to can change them afterwards."""
    done = door(destination=str(tmp_path / "elsewhere"))
    place = tmp_path / "production" / "sha256" / done.clearance.subject.hex
    place.parent.mkdir(parents=True)
    place.symlink_to(done.uri)
    with pytest.raises((StoreConflict, ArtifactRefused)):
        door()
    assert not (tmp_path / "production" / "channels" / "production.sigstore.json").exists()


@pytest.mark.parametrize("change", ["another file", "no file"])
def test_a_promoted_file_is_alone_in_its_folder(
    door: Door, model: Path, tmp_path: Path, policy_file: Path, change: str, store: Store, signer: KeySigner
) -> None:
    path = model / "weights.bin"
    assert pass_gate(str(path), policy=Policy.load(policy_file), store=store, signer=signer, now=NOW).verdict.admitted
    done = door(path)
    home = Path(done.uri)
    (home / "a").write_bytes(b"\x00\x01") if change == "another file" else (home / "weights.bin").unlink()
    with pytest.raises(EvidenceError, match="changed after"):
        verify_promoted(done.clearance, str(tmp_path / "production"))


def test_an_empty_folder_that_an_object_store_would_lose(
    door: Door, bucket: str, model: Path, policy_file: Path, store: Store, signer: KeySigner, tmp_path: Path
) -> None:
    """It is part of the digest: promoted without it, the model would look tampered with ever after."""
    (model / "empty").mkdir()
    assert pass_gate(str(model), policy=Policy.load(policy_file), store=store, signer=signer, now=NOW).verdict.admitted
    with pytest.raises(ArtifactRefused, match="empty folder"):
        door(destination=bucket)
    assert points_to(str(tmp_path / "production")) if door() else False


@pytest.mark.parametrize("destination", ["", "  ", "a\0b", "nosuch://x"])
def test_a_destination_that_is_none(door: Door, destination: str) -> None:
    with pytest.raises(UsageError):
        door(destination=destination)


@pytest.mark.parametrize("spelling", ["{}/production/", "file://{}/production", "{}/./production"])
def test_a_destination_spelled_otherwise(door: Door, tmp_path: Path, spelling: str) -> None:
    destination = spelling.format(tmp_path)
    door()
    assert door(destination=destination).clearance.sequence == 2
    assert points_to(destination) == points_to(str(tmp_path / "production")) == 2


@pytest.mark.parametrize("name", ["production.sigstore.json", ".hidden", "..", "a/b", "A", ""])
def test_a_channel_whose_name_could_be_anothers_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        read_channel(str(tmp_path), name, [OWN])
