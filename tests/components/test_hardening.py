"""What a step is left with, and an audit that really runs: what the real SDK compiles, and what its client really sends."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from pratique.components import gate, harden, schedule_audit, uncached
from pratique.components.scheduling import ensure_cron
from pratique.errors import ArtifactError, ArtifactRefused, UsageError
from pratique.testing import Answer, Loopback, Request

RUN = {"policy": "p", "store": "s", "key": "/keys/gate.key", "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}


def compiled(folder: Path, how: Any) -> Path:
    @dsl.pipeline(name="audit")
    def pipeline(model: str):  # type: ignore[no-untyped-def]
        given = uncached(dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=True))
        how(gate(artifact=given.output, **RUN))

    path = folder / "audit.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


# --- hardening ----------------------------------------------------------------------------------------------------------


def test_a_hardened_step_is_nobody_and_has_limits(tmp_path: Path) -> None:
    path = compiled(
        tmp_path,
        lambda task: harden(task, role="gate", secrets={"gate-key": "/keys"}, config_maps={"policies": "/etc/pratique"}),
    )
    pipeline, platform = yaml.safe_load_all(path.read_text())
    container = pipeline["deploymentSpec"]["executors"]["exec-gate"]["container"]
    assert container["resources"]["memoryLimit"] == 4.0 and container["resources"]["cpuLimit"] == 2.0
    assert not pipeline["root"]["dag"]["tasks"]["gate"]["cachingOptions"].get("enableCache")
    set_ = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-gate"]
    context = set_["securityContext"]
    assert (int(context["runAsUser"]), int(context["runAsGroup"]), context["runAsNonRoot"]) == (10001, 10001, True)
    assert set_["podMetadata"]["labels"] == {"pratique.dev/role": "gate"} and set_["imagePullPolicy"] == "Always"
    assert set_["secretAsVolume"][0]["optional"] is False and set_["configMapAsVolume"][0]["optional"] is False
    assert set_["emptyDirMounts"][0]["sizeLimit"] == "20Gi" and int(set_["activeDeadlineSeconds"]) == 3600


def test_a_role_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no role"):
        compiled(tmp_path, lambda task: harden(task, role="root"))


# --- scheduling ---------------------------------------------------------------------------------------------------------


class Backend(Loopback):
    """The few answers of a Kubeflow API server that the client waits for; it keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, bytes]] = []

    def answer(self, request: Request) -> Answer:
        """Ids for whatever is made."""
        if request.method == "POST":
            self.sent.append((request.path, request.body))
        body = {"apiServerReady": True, "multi_user": False} if "healthz" in request.path else {
            "recurring_run_id": "r1", "pipeline_id": "p1", "pipeline_version_id": "v1", "display_name": "x",
        }  # fmt: skip
        return Answer(headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())


@pytest.fixture
def backend() -> Any:
    with Backend() as server:
        yield server


def client_of(backend: Backend) -> Any:
    import kfp

    return kfp.Client(host=backend.url)


GIVEN = {"name": "nightly", "cron": "0 0 3 * * *", "experiment_id": "e1", "service_account": "pratique-audit"}


def test_an_audit_is_scheduled_as_one_pinned_version(tmp_path: Path, backend: Backend) -> None:
    path = compiled(tmp_path, uncached)
    done = schedule_audit(client_of(backend), path, parameters={"model": "s3://m"}, **GIVEN)
    assert (done.recurring_run_id, done.pipeline_id, done.version_id) == ("r1", "p1", "v1")
    *_, (where, body) = backend.sent
    told = json.loads(body)
    assert where.endswith("/recurringruns")
    assert told["pipeline_version_reference"] == {"pipeline_id": "p1", "pipeline_version_id": "v1"}
    assert told["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (told["max_concurrency"], told["no_catchup"], told["service_account"]) == (1, True, "pratique-audit")
    assert told["runtime_config"]["parameters"] == {"model": "s3://m"}


def test_an_audit_that_the_cache_would_answer(tmp_path: Path, backend: Backend) -> None:
    path = compiled(tmp_path, lambda task: task)
    with pytest.raises(ArtifactRefused, match="from the cache"):
        schedule_audit(client_of(backend), path, **GIVEN)
    assert backend.sent == []


@pytest.mark.parametrize(
    "more", [{"cron": "0 3 * * *"}, {"service_account": ""}, {"experiment_id": " "}, {"name": ""}, {"cron": ""}]
)
def test_a_schedule_that_is_none(tmp_path: Path, backend: Backend, more: dict[str, str]) -> None:
    path = compiled(tmp_path, uncached)
    with pytest.raises(UsageError):
        schedule_audit(client_of(backend), path, **{**GIVEN, **more})
    assert backend.sent == []


def test_no_pipeline(tmp_path: Path, backend: Backend) -> None:
    (tmp_path / "text.yaml").write_text("hello")
    for name, error in (("absent.yaml", ArtifactError), ("text.yaml", ArtifactRefused)):
        with pytest.raises(error):
            schedule_audit(client_of(backend), tmp_path / name, **GIVEN)
    assert backend.sent == []


@pytest.mark.parametrize("cron", ["0 0 3 * * *", "*/5 * * * * *", "0 0 3 1-5 * 1,3,5", "0 30 4 ? * 0", "0 0/15 * * * *"])
def test_a_cron(cron: str) -> None:
    ensure_cron(cron)


@pytest.mark.parametrize(
    "cron",
    [
        "60 0 0 * * *",
        "0 0 24 * * *",
        "0 0 3 0 * *",
        "0 0 3 5-1 * *",
        "0 0 3 * 13 *",
        "0 0 3 * * 7",
        "a b c d e f",
        "0 0 3 * * */0",
        "0 0 3 * * * *",
    ],
)
def test_no_cron(cron: str) -> None:
    with pytest.raises(UsageError):
        ensure_cron(cron)
