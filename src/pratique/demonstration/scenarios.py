"""What the demo plays: an honest delivery, and attacks at every place where somebody could attack."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pratique import signing
from pratique.artifacts import open_artifact
from pratique.checking import Report
from pratique.demonstration import digits
from pratique.demonstration.airflow import Airflow, Run
from pratique.demonstration.world import World
from pratique.policies import Policy
from pratique.signing import INTOTO
from pratique.statements import Evidence
from pratique.store import Store

Deed = Callable[["Stage"], None]


def _nothing(stage: Stage) -> None:
    """Honest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One delivery from the supplier's door to production."""

    name: str
    expected: str
    """`promoted`, or the task at which it must be stopped."""

    story: str
    before: Deed = field(default=_nothing)
    """Done to the deliveries before the pipeline runs."""

    between: dict[str, Deed] = field(default_factory=dict)
    """Done after the task of that name has finished, whichever way."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Where one scenario is played: its own copy of the world."""

    world: World
    airflow: Airflow
    honest: World | None
    """The honest delivery's world, for whoever steals evidence from it."""

    run: Run | None = None

    @property
    def tuned(self) -> Path:
        """The fine-tuned model, as the pipeline left it."""
        return next(self.world.workspace.glob("*/tuned"))


# --- deeds --------------------------------------------------------------------------------------------------------------


def _change_weights(stage: Stage) -> None:
    digits.change_weights(stage.world.base)


def _sign_as_mallory(stage: Stage) -> None:
    digits.change_weights(stage.world.base)
    stage.world.sign(stage.world.base, "mallory")


def _signed_pickle(stage: Stage) -> None:
    digits.add_pickle(stage.world.base)
    stage.world.sign(stage.world.base, "supplier")


def _extra_file(stage: Stage) -> None:
    digits.add_file(stage.world.base)


def _flipped_labels(stage: Stage) -> None:
    digits.flip_labels(stage.world.dataset, 0.1, seed=1)
    stage.world.sign(stage.world.dataset, "publisher")


def _near_duplicates(stage: Stage) -> None:
    digits.inject_near_duplicates(stage.world.dataset, 0.08, seed=1)
    stage.world.sign(stage.world.dataset, "publisher")


def _drift(stage: Stage) -> None:
    digits.drift(stage.world.dataset)
    stage.world.sign(stage.world.dataset, "publisher")


def _trojan(stage: Stage) -> None:
    """Put code into the fine-tuned model, so that an honest gate denies it."""
    digits.add_pickle(stage.tuned)


def _swap(stage: Stage) -> None:
    """Change the weights that the gate has just admitted."""
    digits.change_weights(stage.tuned)


def _mark_success(stage: Stage) -> None:
    stage.airflow.mark_success("admit_model")


def _edit_xcom(stage: Stage) -> None:
    stage.airflow.mark_success("admit_model")
    stage.airflow.edit_xcom("admit_model", {"verdict": "admitted", "path": str(stage.tuned), "reasons": []})


def _forge(stage: Stage) -> None:
    """Evidence that says everything is fine, signed with the attacker's own key, put where the gate's evidence lies."""
    _lie(stage, "mallory")
    stage.airflow.mark_success("admit_model")


def _lie(stage: Stage, who: str) -> None:
    policy, store = Policy.load(stage.world.policies / "release.yaml"), Store(str(stage.world.store))
    artifact = open_artifact(stage.tuned)
    for name, requirement in policy.require.items():
        from datetime import datetime, timezone

        lie = Evidence(
            check=name, check_version="1", subject=artifact.subject, kind="model", report=Report(),
            options_digest=requirement.options_digest, policy_digest=policy.digest, run_id=stage.airflow.run_id,
            made_at=datetime.now(timezone.utc),
        )  # fmt: skip
        bundle = signing.sign(lie.statement(), INTOTO, stage.world.signer(who))
        store.add("evidence", artifact.subject, bundle, check=name)


def _replay(stage: Stage) -> None:
    """The honest model's evidence, properly signed by the gate, copied to where the other model's evidence belongs."""
    assert stage.honest is not None
    subject = open_artifact(stage.tuned).subject
    store = Store(str(stage.world.store))
    promoted = next((stage.honest.production / "sha256").iterdir()).name
    for path in (stage.honest.store / "evidence" / "sha256" / promoted).rglob("*.sigstore.json"):
        store.add("evidence", subject, path.read_bytes(), check=path.parent.name)
    stage.airflow.mark_success("admit_model")


SCENARIOS = (
    Scenario(name="honest supplier", expected="promoted", story="Signed by the supplier, nothing changed on the way."),
    Scenario(
        name="weights changed after signing", expected="admit_base", before=_change_weights,
        story="Somebody between the supplier and us changes a few weights.",
    ),
    Scenario(
        name="signed by somebody else", expected="admit_base", before=_sign_as_mallory,
        story="The same change, and a valid signature by a key that we do not trust.",
    ),
    Scenario(
        name="a pickle with code in it", expected="admit_base", before=_signed_pickle,
        story="The supplier itself signs a pickle that runs a command when it is loaded.",
    ),
    Scenario(
        name="an extra unsigned file", expected="admit_base", before=_extra_file,
        story="A modelling script is added to the signed folder.",
    ),
    Scenario(
        name="flipped labels", expected="admit_dataset", before=_flipped_labels,
        story="A tenth of the labels are flipped before the publisher signs the dataset.",
    ),
    Scenario(
        name="injected near-duplicates", expected="admit_dataset", before=_near_duplicates,
        story="Slightly changed copies of a few rows are injected before the publisher signs the dataset.",
    ),
    Scenario(
        name="a drifted dataset", expected="admit_dataset", before=_drift,
        story="The scanner was replaced: every pixel is dimmer than in the reference.",
    ),
    Scenario(
        name="gate marked success by hand", expected="promote", between={"fine_tune": _trojan, "admit_model": _mark_success},
        story="The gate refuses a trojaned model; somebody marks its task as success, so that promotion runs.",
    ),
    Scenario(
        name="gate's XCom edited", expected="promote", between={"fine_tune": _trojan, "admit_model": _edit_xcom},
        story="The same, and the gate's XCom is edited to say: admitted.",
    ),
    Scenario(
        name="evidence forged", expected="promote", between={"fine_tune": _trojan, "admit_model": _forge},
        story="The same, with evidence that says all is well, signed by the attacker.",
    ),
    Scenario(
        name="evidence replayed from another model", expected="promote", between={"fine_tune": _trojan, "admit_model": _replay},
        story="The same, with the gate's own signed evidence about an honest model.",
    ),
    Scenario(
        name="swapped between gate and promotion", expected="promote", between={"admit_model": _swap},
        story="The gate admits an honest model; its weights are changed before promotion.",
    ),
)  # fmt: skip
"""In the order in which they are played. The honest delivery comes first: others steal its evidence."""


def play(scenario: Scenario, world: World, airflow: Airflow, folder: Path, honest: World | None) -> tuple[World, Run]:
    """Play one scenario in its own copy of the world; returns that copy and what Airflow says of the run."""
    stage = Stage(world=world.copy(folder), airflow=airflow, honest=honest)
    scenario.before(stage)
    between = {task: (lambda deed=deed: deed(stage)) for task, deed in scenario.between.items()}
    run = airflow.run(_params(stage.world), between)
    shutil.rmtree(stage.world.root / "supplier")
    return stage.world, run


def _params(world: World) -> dict[str, str]:
    return {
        "base_model": str(world.base),
        "dataset": str(world.dataset),
        "policies": str(world.policies),
        "store": str(world.store),
        "workspace": str(world.workspace),
        "destination": str(world.production),
        "gate_key": str(world.key("gate")),
        "trainer_key": str(world.key("trainer")),
        "promoter_key": str(world.key("promoter")),
    }
