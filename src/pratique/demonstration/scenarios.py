"""What the demo plays: an honest delivery, and attacks at every place where somebody could attack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pratique.demonstration import deeds
from pratique.demonstration.airflow import Airflow, Run
from pratique.demonstration.deeds import Stage
from pratique.demonstration.world import World

Deed = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One delivery from the supplier's door to production."""

    name: str
    expected: str
    """`promoted`, or the task at which it must be stopped."""

    because: str = ""
    """The rule that must be among the reasons: to be stopped for another reason is no success. '' for an honest delivery."""

    story: str
    before: Deed = field(default=deeds.nothing)
    """Done to the deliveries before the pipeline runs."""

    between: dict[str, Deed] = field(default_factory=dict)
    """Done after the task of that name has finished, whichever way."""


SCENARIOS = (
    Scenario(
        name="honest supplier",
        expected="promoted",
        story="Signed by the supplier, nothing changed on the way.",
    ),
    Scenario(
        name="weights changed after signing",
        expected="admit_base",
        because="provenance/file-changed",
        before=deeds.change_weights,
        story="Somebody between the supplier and us changes a few weights.",
    ),
    Scenario(
        name="signed by somebody else",
        expected="admit_base",
        because="provenance/wrong-signer",
        before=deeds.sign_as_mallory,
        story="The same change, and a valid signature by a key that we do not trust.",
    ),
    Scenario(
        name="a pickle with code in it",
        expected="admit_base",
        because="artifact/pickle-global",
        before=deeds.signed_pickle,
        story="The supplier itself signs a pickle that runs a command when it is loaded.",
    ),
    Scenario(
        name="an extra unsigned file",
        expected="admit_base",
        because="provenance/file-unsigned",
        before=deeds.extra_file,
        story="A modelling script is added to the signed folder.",
    ),
    Scenario(
        name="flipped labels",
        expected="admit_dataset",
        because="dataset/label-noise",
        before=deeds.flipped_labels,
        story="A tenth of the labels are flipped before the publisher signs the dataset.",
    ),
    Scenario(
        name="injected near-duplicates",
        expected="admit_dataset",
        because="dataset/near-duplicates",
        before=deeds.near_duplicates,
        story="Slightly changed copies of a few rows are injected before the publisher signs the dataset.",
    ),
    Scenario(
        name="a drifted dataset",
        expected="admit_dataset",
        because="dataset/drift",
        before=deeds.drift,
        story="The scanner was replaced: every pixel is dimmer than in the reference.",
    ),
    Scenario(
        name="gate marked success by hand",
        expected="promote",
        because="artifact/pickle-global",
        between={"fine_tune": deeds.trojan, "admit_model": deeds.mark_success},
        story="The gate refuses a trojaned model; somebody marks its task as success, so that promotion runs.",
    ),
    Scenario(
        name="gate's XCom edited",
        expected="promote",
        because="artifact/pickle-global",
        between={"fine_tune": deeds.trojan, "admit_model": deeds.edit_xcom},
        story="The same, and the gate's XCom is edited to say: admitted.",
    ),
    Scenario(
        name="evidence forged",
        expected="promote",
        because="artifact/no-evidence",
        between={"fine_tune": deeds.trojan, "admit_model": deeds.forge},
        story="The same; in place of the gate's evidence lies some that says all is well, signed by the attacker.",
    ),
    Scenario(
        name="evidence replayed from another model",
        expected="promote",
        because="artifact/no-evidence",
        between={"fine_tune": deeds.trojan, "admit_model": deeds.replay},
        story="The same; in place of the gate's evidence lies the gate's own about an honest model.",
    ),
    Scenario(
        name="swapped between gate and promotion",
        expected="promote",
        because="WrongSubject",
        between={"admit_model": deeds.swap},
        story="The gate admits an honest model; its weights are changed before promotion.",
    ),
)
"""In the order in which they are played. The honest delivery comes first: others steal its evidence."""


def play(scenario: Scenario, world: World, airflow: Airflow, folder: Path, honest: World | None) -> tuple[World, Run]:
    """Play one scenario in its own copy of the world; returns that copy and what Airflow says of the run."""
    stage = Stage(world=world.copy(folder), airflow=airflow, honest=honest)
    scenario.before(stage)
    between = {task: (lambda deed=deed: deed(stage)) for task, deed in scenario.between.items()}
    run = airflow.run(_params(stage.world), between)
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
