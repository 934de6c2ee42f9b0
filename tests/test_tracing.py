"""A base model turns out to be a trojan: what descends from it, and where is it? Signed lineage only."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import signing
from pratique.artifacts import Subject
from pratique.errors import ArtifactRefused, EvidenceError
from pratique.family_trees import MOST, as_svg
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Material, TrainingRecord
from pratique.store import Store
from pratique.tracing import Trace, chart, trace
from tests.conftest import Pratique

TRAINER, PROMOTER, MALLORY = (KeySigner.generate() for _ in range(3))
TRUSTED = [TRAINER.trusted("trainer"), PROMOTER.trusted("promoter")]
NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def named(name: str) -> Subject:
    import hashlib

    return Subject(digest="sha256:" + hashlib.sha256(name.encode()).hexdigest(), name=name)


def train(store: Store, product: str, base: str = "", *datasets: str, by: KeySigner = TRAINER, **more: Any) -> None:
    materials = [Material(role="base", subject=named(base), uri=base)] if base else []
    materials += [Material(role="dataset", subject=named(one), uri=one) for one in datasets]
    record = TrainingRecord(
        subject=named(product), materials=tuple(materials), parameters={}, run_id="", started_at=NOW, finished_at=NOW,
        builder=f"urn:pratique:trainer:{by.trusted().fingerprint}",
    )  # fmt: skip
    store.add("records", named(product), signing.sign(replace(record, **more).statement(), INTOTO, by))


def promoted(store: Store, name: str, number: int, channel: str = "production", by: KeySigner = PROMOTER) -> None:
    subject = named(name)
    clearance = Clearance(
        subject=subject, kind="model", verifier=f"urn:pratique:promotion:{by.trusted().fingerprint}",
        resource_uri=f"s3://models/sha256/{subject.hex}", policy_digest=named("policy").digest, evidence=(), levels=("L",),
        made_at=NOW + timedelta(hours=number), expires=NOW + timedelta(days=7), channel=channel, sequence=number,
    )  # fmt: skip
    store.add("clearances", subject, signing.sign(clearance.statement(), INTOTO, by))


@pytest.fixture
def family(store: Store) -> Store:
    """base -> tuned (on reviews) -> distilled;  base -> other;  stranger -> unrelated."""
    train(store, "tuned", "base", "reviews")
    train(store, "distilled", "tuned", "reviews", "logs")
    train(store, "other", "base", "images")
    train(store, "unrelated", "stranger", "images")
    promoted(store, "tuned", 1)
    promoted(store, "distilled", 2)
    promoted(store, "unrelated", 3, channel="canary")
    return store


def look(store: Store, name: str) -> Trace:
    return trace(chart(store, TRUSTED), named(name).digest)


def names(steps: Any) -> list[tuple[str, int]]:
    return [(one.name, one.distance) for one in steps]


def test_everything_that_descends_from_a_trojan_and_nothing_else(family: Store) -> None:
    found = look(family, "base")
    assert sorted(names(found.downstream)) == [("distilled", 2), ("other", 1), ("tuned", 1)]
    assert found.upstream == ()
    assert {one.name for one in found.affected} == {"tuned", "distilled"}
    latest = {one.name: [place.latest for place in one.places] for one in found.affected}
    assert latest == {"tuned": [False], "distilled": [True]}


def test_a_poisoned_dataset(family: Store) -> None:
    assert sorted(names(look(family, "reviews").downstream)) == [("distilled", 1), ("tuned", 1)]
    assert {one.name for one in look(family, "images").affected} == {"unrelated"}


def test_what_a_model_was_made_of(family: Store) -> None:
    found = look(family, "distilled")
    assert sorted(names(found.upstream)) == [("base", 2), ("logs", 1), ("reviews", 1), ("tuned", 1)]
    assert [(place.channel, place.sequence) for place in found.places] == [("production", 2)]


def test_lineage_that_a_stranger_signed_is_left_out_and_counted(family: Store) -> None:
    train(family, "forged", "base", by=MALLORY)
    promoted(family, "other", 9, by=MALLORY)
    found = look(family, "base")
    assert "forged" not in {one.name for one in found.downstream}
    assert {one.name for one in found.affected} == {"tuned", "distilled"}
    assert len(found.refused) == 2


def test_a_record_in_another_trainers_name(family: Store) -> None:
    train(family, "framed", "base", builder=f"urn:pratique:trainer:{PROMOTER.trusted().fingerprint}")
    assert "framed" not in {one.name for one in look(family, "base").downstream}


def test_a_record_moved_to_another_subject(family: Store) -> None:
    ((_, bundle),) = family.read("records", named("other"))
    family.add("records", named("innocent"), bundle)
    found = look(family, "base")
    assert "innocent" not in {one.name for one in found.downstream} and len(found.refused) == 1


def test_a_circle_ends(store: Store) -> None:
    train(store, "a", "b")
    train(store, "b", "a")
    train(store, "c", "c")
    assert names(look(store, "a").downstream) == [("b", 1)] == names(look(store, "a").upstream)
    assert look(store, "c").downstream == ()
    as_svg(look(store, "a"))


def test_nobody_has_said_anything(family: Store) -> None:
    with pytest.raises(EvidenceError, match="names sha256:"):
        look(family, "never seen")
    with pytest.raises(ArtifactRefused):
        trace(chart(family, TRUSTED), "base")


# --- the picture --------------------------------------------------------------------------------------------------------


def test_the_picture_holds_every_name_and_no_markup_of_a_stranger(store: Store) -> None:
    train(store, "<script>alert(1)</script>", "base & more", "d\x1b[31m")
    drawn = as_svg(look(store, "base & more"))
    ElementTree.fromstring(drawn)
    assert "<script" not in drawn and "\x1b" not in drawn and "base &amp; more" in drawn


def test_the_picture_of_a_large_family_says_what_it_leaves_out(store: Store) -> None:
    for number in range(MOST + 20):
        train(store, f"model {number}", "base")
    drawn = as_svg(look(store, "base"))
    assert drawn.count("<rect x") == MOST + 1 and "and 20 more" in drawn


# --- on the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> list[Any]:
    TRAINER.save(tmp_path / "trainer.key")
    PROMOTER.save(tmp_path / "promoter.key")
    return ["--trust", tmp_path / "trainer.pub", "--trust", tmp_path / "promoter.pub"]


def test_the_command(pratique: Pratique, family: Store, keys: list[Any], tmp_path: Path) -> None:
    words = ["trace", named("base").digest, "--store", family.uri, *keys]
    code, out, err = pratique(*words, "--svg", tmp_path / "base.svg")
    assert (code, err) == (0, "")
    assert "3 descend from it; 2 of them were promoted, 1 are the latest of their channel" in out
    ElementTree.parse(tmp_path / "base.svg")
    told = json.loads(pratique(*words, "--format", "json")[1])
    assert sorted(told["affected"]) == sorted([named("tuned").digest, named("distilled").digest])


def test_bad_input_on_the_command_line(pratique: Pratique, family: Store, keys: list[Any], tmp_path: Path) -> None:
    there = ["--store", family.uri]
    for subject, code in (("sha256:12", 3), (tmp_path / "absent", 3), (named("nobody").digest, 5), ("", 2)):
        assert pratique("trace", subject, *there, *keys)[:2] == (code, "")
    assert pratique("trace", named("base").digest, *there)[0] == 2
    assert pratique("trace", named("base").digest, *there, *keys, "--svg", tmp_path)[0] == 2
