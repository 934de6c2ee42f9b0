"""What attackers do in the demo, each with no more than the access that its scenario says."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from pratique import signing
from pratique.artifacts import Subject, open_artifact
from pratique.checking import Report
from pratique.demonstration import digits
from pratique.demonstration.airflow import Airflow
from pratique.demonstration.world import World
from pratique.policies import Policy
from pratique.signing import INTOTO
from pratique.statements import Evidence
from pratique.store import Store


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where one scenario is played: its own copy of the world."""

    world: World
    airflow: Airflow
    honest: World | None
    """The honest delivery's world, for whoever steals evidence from it."""

    @property
    def tuned(self) -> Path:
        """The fine-tuned model, as the pipeline left it."""
        return next(self.world.workspace.glob("*/tuned"))


def nothing(stage: Stage) -> None:
    """Honest."""


def change_weights(stage: Stage) -> None:
    """Change a few weights on the way from the supplier to us."""
    digits.change_weights(stage.world.base)


def sign_as_mallory(stage: Stage) -> None:
    """Change them, and sign the result with a key that we do not trust."""
    digits.change_weights(stage.world.base)
    stage.world.sign(stage.world.base, "mallory")


def signed_pickle(stage: Stage) -> None:
    """A pickle that runs a command, signed by the supplier itself."""
    digits.add_pickle(stage.world.base)
    stage.world.sign(stage.world.base, "supplier")


def extra_file(stage: Stage) -> None:
    """Add a script to the signed folder."""
    digits.add_file(stage.world.base)


def flipped_labels(stage: Stage) -> None:
    """Flip a tenth of the labels before the publisher signs."""
    digits.flip_labels(stage.world.dataset, 0.1, seed=1)
    stage.world.sign(stage.world.dataset, "publisher")


def near_duplicates(stage: Stage) -> None:
    """Inject near copies of a few rows before the publisher signs."""
    digits.inject_near_duplicates(stage.world.dataset, 0.08, seed=1)
    stage.world.sign(stage.world.dataset, "publisher")


def drift(stage: Stage) -> None:
    """Replace the scanner before the publisher signs."""
    digits.drift(stage.world.dataset)
    stage.world.sign(stage.world.dataset, "publisher")


def trojan(stage: Stage) -> None:
    """Put code into the fine-tuned model, so that an honest gate denies it."""
    digits.add_pickle(stage.tuned)


def swap(stage: Stage) -> None:
    """Change the weights that the gate has just admitted."""
    digits.change_weights(stage.tuned)


def mark_success(stage: Stage) -> None:
    """Press the button that marks the failed gate as a success."""
    stage.airflow.mark_success("admit_model")


def edit_xcom(stage: Stage) -> None:
    """Press it, and let the gate's XCom say: admitted."""
    stage.airflow.mark_success("admit_model")
    stage.airflow.edit_xcom("admit_model", {"verdict": "admitted", "path": str(stage.tuned), "reasons": []})


def forge(stage: Stage) -> None:
    """In place of the gate's evidence, some that says all is well, signed with the attacker's own key."""
    subject = _forget(stage)
    policy, store = Policy.load(stage.world.policies / "release.yaml"), Store(str(stage.world.store))
    for name, requirement in policy.require.items():
        lie = Evidence(
            check=name, check_version="1", subject=subject, kind="model", report=Report(),
            options_digest=requirement.options_digest, policy_digest=policy.digest, run_id=stage.airflow.run_id,
            made_at=datetime.now(timezone.utc),
        )  # fmt: skip
        store.add("evidence", subject, signing.sign(lie.statement(), INTOTO, stage.world.signer("mallory")), check=name)
    stage.airflow.mark_success("admit_model")


def replay(stage: Stage) -> None:
    """In place of the gate's evidence, the gate's own, properly signed, about the honest model."""
    assert stage.honest is not None, "the honest delivery is played first"
    subject, store = _forget(stage), Store(str(stage.world.store))
    promoted = next((stage.honest.production / "sha256").iterdir()).name
    for path in (stage.honest.store / "evidence" / "sha256" / promoted).rglob("*.sigstore.json"):
        store.add("evidence", subject, path.read_bytes(), check=path.parent.name)
    stage.airflow.mark_success("admit_model")


def _forget(stage: Stage) -> Subject:
    """Delete what the gate has said about the fine-tuned model: whoever can write to a store can often delete, too."""
    subject = open_artifact(stage.tuned).subject
    shutil.rmtree(stage.world.store / "evidence" / "sha256" / subject.hex)
    return subject
