"""A small world for the demo: keys, policies, a supplier's signed model, a publisher's signed dataset. All real."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pratique import oms, profiles
from pratique.demonstration import digits
from pratique.signing import KeySigner

KEYS = ("supplier", "publisher", "gate", "trainer", "promoter", "mallory")

BASE = """\
# What a supplier's base model must be before anybody trains on it.
version: 1
subject: model
trust:
  gate: {key: ../keys/gate.pub}
  supplier: {key: ../keys/supplier.pub}
require:
  provenance: {options: {signers: [supplier]}}
  artifact: {deny_at: medium}
clearance: {expires: P7D}
"""

DATASET = """\
# What a dataset must be before anybody trains on it.
version: 1
subject: dataset
trust:
  gate: {key: ../keys/gate.pub}
  publisher: {key: ../keys/publisher.pub}
require:
  provenance: {options: {signers: [publisher]}}
  artifact: {deny_at: medium}
  dataset: {deny_at: medium, options: {profile: profile.json, false_alarm_rate: 0.01}}
clearance: {expires: P7D}
"""

RELEASE = """\
# What a fine-tuned model must be before it is promoted.
version: 1
subject: model
trust:
  gate: {key: ../keys/gate.pub}
  trainer: {key: ../keys/trainer.pub}
require:
  artifact: {deny_at: medium}
  lineage: {options: {trainers: [trainer], gates: [gate], base_policy: base.yaml, dataset_policy: dataset.yaml}}
clearance: {expires: P7D}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Folders of one run of the demo, or of one scenario in it."""

    root: Path

    @property
    def base(self) -> Path:
        """The supplier's base model, signed."""
        return self.root / "supplier" / "base-model"

    @property
    def dataset(self) -> Path:
        """The publisher's dataset, signed."""
        return self.root / "publisher" / "digits"

    @property
    def policies(self) -> Path:
        """base.yaml, dataset.yaml, release.yaml and the reference profile."""
        return self.root / "policies"

    @property
    def store(self) -> Path:
        """The evidence store."""
        return self.root / "store"

    @property
    def workspace(self) -> Path:
        """Where the fine-tuned model is written."""
        return self.root / "workspace"

    @property
    def production(self) -> Path:
        """Where models are promoted to."""
        return self.root / "production"

    def key(self, name: str) -> Path:
        """A private key by its owner."""
        return self.root / "keys" / f"{name}.key"

    def signer(self, name: str) -> KeySigner:
        """Signs in somebody's name."""
        return KeySigner.load(self.key(name))

    def sign(self, folder: Path, who: str) -> None:
        """Sign a folder in somebody's name, in place of the signature that is there."""
        (folder / "model.sig").unlink(missing_ok=True)
        oms.write_signature(folder, self.signer(who))

    def copy(self, root: Path) -> World:
        """The same world for one scenario: same keys and deliveries, an empty store and an empty production."""
        for name in ("keys", "policies", "supplier", "publisher"):
            shutil.copytree(self.root / name, root / name)
        return World(root=root)


def build(root: Path, tell: Callable[[str], None]) -> World:
    """Make the world: train and sign the supplier's model, write and sign the dataset, profile the reference."""
    world = World(root=root)
    tell("making keys")
    for name in KEYS:
        KeySigner.generate().save(world.key(name))
    world.policies.mkdir(parents=True)
    for file, text in (("base.yaml", BASE), ("dataset.yaml", DATASET), ("release.yaml", RELEASE)):
        (world.policies / file).write_text(text)
    tell("the supplier trains a base model on the digits 0 to 4, and signs it")
    world.base.mkdir(parents=True)
    digits.supplier_base(world.base)
    world.sign(world.base, "supplier")
    tell("the publisher signs the digits 5 to 9; we profile our own reference of them")
    world.dataset.mkdir(parents=True)
    digits.write_dataset(world.dataset, "incoming")
    world.sign(world.dataset, "publisher")
    reference = root / "reference"
    reference.mkdir()
    digits.write_dataset(reference, "reference")
    profiles.build(reference, label="label").save(world.policies / "profile.json")
    return world
