"""`models:/` and `runs:/`: against a small server that speaks MLflow's REST API, and (slow) against MLflow's own.

What the small one answers is held against the real one by running the same tests on both.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pratique import sources
from pratique.artifacts import Limits, open_artifact
from pratique.errors import ArtifactError, ArtifactRefused, UsageError
from pratique.testing import Answer, Loopback, Request, folder_of

FILES = {"MLmodel": b"flavors: {}\n", "model.bin": b"weights" * 1000, "sub/a b.txt": b"x"}
TUNED = {**FILES, "model.bin": b"tuned!!" * 1000}
NAME = "my model"
MLFLOW = Path(__file__).parents[2] / ".venv" / "mlflow" / "bin"


@dataclass
class Tracker:
    """A server with two runs, a model registered from each, and an alias."""

    url: str
    runs: list[str] = field(default_factory=list)


class FakeTracker(Loopback):
    """The part of MLflow's REST API (2.0) that reading needs."""

    def __init__(self) -> None:
        super().__init__()
        self.files = {
            f"0/{run}/artifacts/model/{path}": data
            for run, files in (("r1", FILES), ("r2", TUNED))
            for path, data in files.items()
        }
        self.aliases = {"champion": "1"}
        self.storage = "mlflow-artifacts:/0/{run}/artifacts/model"
        self.status = "FINISHED"

    def version(self, number: str) -> dict[str, Any]:
        run = f"r{number}"
        return {"name": NAME, "version": number, "run_id": run, "source": f"runs:/{run}/model", "current_stage": "None"}

    def answer(self, request: Request) -> Answer:
        path, query = request.path.removeprefix("/api/2.0/"), request.query
        if path == "mlflow-artifacts/artifacts":
            return self.listing(query.get("path", ""))
        if path.startswith("mlflow-artifacts/artifacts/"):
            data = self.files.get(path.removeprefix("mlflow-artifacts/artifacts/"))
            return Answer(status=404) if data is None else Answer(body=data)
        value = self.value(path.removeprefix("mlflow/"), query)
        return Answer(status=404) if value is None else Answer(body=json.dumps(value).encode())

    def value(self, call: str, query: Any) -> Any:
        if call == "runs/get" and query["run_id"] in ("r1", "r2"):
            uri = f"mlflow-artifacts:/0/{query['run_id']}/artifacts"
            return {"run": {"info": {"run_id": query["run_id"], "artifact_uri": uri, "status": self.status}}}
        if query.get("name") != NAME:
            return None
        if call == "model-versions/get" and query["version"] in ("1", "2"):
            return {"model_version": self.version(query["version"])}
        if call == "model-versions/get-download-uri":
            return {"artifact_uri": self.storage.format(run=f"r{query['version']}")}
        if call == "registered-models/alias" and query["alias"] in self.aliases:
            return {"model_version": self.version(self.aliases[query["alias"]])}
        if call == "registered-models/get-latest-versions":
            return {"model_versions": [self.version("2")] if "stages" not in query else []}
        return None

    def listing(self, folder: str) -> Answer:
        start = f"{folder}/" if folder else ""
        found: dict[str, dict[str, Any]] = {}
        for path, data in self.files.items():
            head, slash, _ = path.removeprefix(start).partition("/")
            if path.startswith(start):
                found[head] = (
                    {"path": head, "is_dir": True} if slash else {"path": head, "is_dir": False, "file_size": len(data)}
                )
        return Answer(body=json.dumps({"files": list(found.values())}).encode())


PREPARE = """
import sys, mlflow
url, name, *folders = sys.argv[1:]
mlflow.set_tracking_uri(url)
client = mlflow.MlflowClient()
client.create_registered_model(name)
for folder in folders:
    with mlflow.start_run() as run:
        mlflow.log_artifacts(folder, "model")
    client.create_model_version(name, run.info.artifact_uri + "/model", run.info.run_id)
    print(run.info.run_id)
client.set_registered_model_alias(name, "champion", "1")
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    """MLflow's own server over SQLite, in an environment of its own."""
    if not (MLFLOW / "mlflow").exists():
        pytest.skip("LOUD: MLflow's server is not installed, so models:/ and runs:/ were not tried against it (make mlflow)")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    run = [MLFLOW / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    run += ["--backend-store-uri", f"sqlite:///{folder}/db.sqlite", "--artifacts-destination", str(folder / "kept")]
    env = {**os.environ, "PATH": f"{MLFLOW}:{os.environ['PATH']}", "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with open(folder / "log", "wb") as log, subprocess.Popen(run, stdout=log, stderr=log, env=env, cwd=folder) as process:
        try:
            wait_for(url, process, folder / "log")
            folders = [str(folder_of(folder / name, files)) for name, files in (("one", FILES), ("two", TUNED))]
            made = subprocess.run(
                [MLFLOW / "python", "-c", PREPARE, url, NAME, *folders],
                capture_output=True, text=True, check=True, env=env, cwd=folder, timeout=400,
            )  # fmt: skip
            runs = [line for line in made.stdout.split() if len(line) == 32]
            yield Tracker(url=url, runs=runs)
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    pytest.fail(log.read_text()[-2000:])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTracker]:
    with FakeTracker() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    one: Tracker | FakeTracker = request.getfixturevalue(request.param)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one.url)
    return one if isinstance(one, Tracker) else Tracker(url=one.url, runs=["r1", "r2"])


def test_a_version_is_its_local_twin(tracker: Tracker, tmp_path: Path) -> None:
    for number, files in (("1", FILES), ("2", TUNED)):
        got = open_artifact(f"models:/{NAME}/{number}")
        assert got.subject == open_artifact(folder_of(tmp_path / number, files)).subject
        assert got.subject.name == NAME
        assert got.origin is not None
        assert (got.origin.mutable, got.origin.scheme) == (False, "models")
        assert got.origin.ids["run"] == tracker.runs[int(number) - 1]
        assert got.origin.ids["version"] == number
        assert "no digests" in got.origin.notes[-1]


def test_an_alias_is_pinned_and_reported(tracker: Tracker) -> None:
    got = open_artifact(f"models:/{NAME}@champion")
    assert got.origin is not None
    assert (got.pinned, got.origin.mutable) == ("models:/my%20model/1", True)
    assert got.origin.notes[0] == "the alias 'champion' can move; it was version 1 when it was resolved"
    assert open_artifact(got.pinned).subject == got.subject


def test_the_latest_version_is_pinned_and_reported(tracker: Tracker) -> None:
    origin = sources.resolve(f"models:/{NAME}/latest")
    assert (origin.pinned, origin.mutable) == ("models:/my%20model/2", True)
    with pytest.raises(ArtifactError, match="no version in 'Production'"):
        open_artifact(f"models:/{NAME}/Production")


def test_artifacts_of_a_run(tracker: Tracker, tmp_path: Path) -> None:
    got = open_artifact(f"runs:/{tracker.runs[0]}/model")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert got.origin is not None
    assert not got.origin.mutable
    one = open_artifact(f"runs:/{tracker.runs[0]}/model/sub/a%20b.txt")
    assert (one.subject.name, one.is_file) == ("a b.txt", True)


def test_nothing_there(tracker: Tracker) -> None:
    for uri in (f"models:/{NAME}/9", "models:/other/1", f"models:/{NAME}@nobody", "runs:/" + "0" * 32 + "/model"):
        with pytest.raises(ArtifactError):
            open_artifact(uri)
    with pytest.raises(ArtifactError):
        open_artifact(f"runs:/{tracker.runs[0]}/nothing")


@pytest.mark.slow
def test_a_logged_model(real: Tracker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MLflow 3 keeps models apart from runs."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real.url)
    folder = folder_of(tmp_path / "m", FILES)
    script = (
        "import sys, mlflow; mlflow.set_tracking_uri(sys.argv[1]); c = mlflow.MlflowClient();"
        "m = c.create_logged_model('0', name='lm'); c.log_model_artifacts(m.model_id, sys.argv[2]);"
        "c.finalize_logged_model(m.model_id, 'READY'); print(m.model_id)"
    )
    env = {**os.environ, "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    made = subprocess.run(
        [MLFLOW / "python", "-c", script, real.url, folder], capture_output=True, text=True, check=True, env=env, timeout=400
    )
    got = open_artifact(f"models:/{made.stdout.split()[-1]}")
    assert got.subject == open_artifact(folder).subject
    assert got.pinned == f"models:/{made.stdout.split()[-1]}"


def test_an_alias_that_moves_between_resolving_and_fetching(fake: FakeTracker) -> None:
    honest = open_artifact(f"models:/{NAME}/1").subject

    def move(request: Request) -> Answer | None:
        if "artifacts" in request.path:
            fake.aliases["champion"] = "2"
        return None

    fake.intercept = move
    assert open_artifact(f"models:/{NAME}@champion").subject == honest
    assert open_artifact(f"models:/{NAME}@champion").subject != honest


@pytest.mark.parametrize(
    "storage",
    [
        "/etc", "file:///etc", "mlflow-artifacts:/../../etc", "mlflow-artifacts:/", "mlflow-artifacts://evil.example/x",
        "http://169.254.169.254/latest", "https://evil.example/x", "ftp://h/x", "dbfs:/x", "memory://x", "",
    ],
)  # fmt: skip
def test_a_server_that_sends_us_to_read_something_else(fake: FakeTracker, storage: str) -> None:
    """A path on the server's disk would be read from this machine's; another service would be asked in our name."""
    fake.storage = storage
    with pytest.raises(ArtifactRefused):
        open_artifact(f"models:/{NAME}/1")


def test_another_version_than_was_asked_for(fake: FakeTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"model_version": fake.version("2")}
    fake.intercept = lambda request: (
        Answer(body=json.dumps(other).encode()) if request.path.endswith("model-versions/get") else None
    )
    with pytest.raises(ArtifactRefused, match="answers with my model/2"):
        open_artifact(f"models:/{NAME}/1")


def test_a_run_that_has_not_ended(fake: FakeTracker) -> None:
    fake.status = "RUNNING"
    origin = sources.resolve("runs:/r1/model")
    assert origin.mutable
    assert "has not ended" in origin.notes[0]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", "MODEL.BIN", "a\x1b[2J"])
def test_names_in_a_listing_that_no_artifact_may_have(fake: FakeTracker, name: str) -> None:
    def evil(request: Request) -> Answer | None:
        if request.query.get("path", "").endswith("/model"):
            files = [{"path": "model.bin", "file_size": 1}, {"path": name, "is_dir": False, "file_size": 1}]
            return Answer(body=json.dumps({"files": files}).encode())
        return None

    fake.intercept = evil
    with pytest.raises(ArtifactRefused):
        open_artifact(f"models:/{NAME}/1")


def test_folders_without_end(fake: FakeTracker) -> None:
    def endless(request: Request) -> Answer | None:
        if "/model" in request.query.get("path", ""):
            return Answer(body=json.dumps({"files": [{"path": "d", "is_dir": True}]}).encode())
        return None

    fake.intercept = endless
    with pytest.raises(ArtifactRefused, match="deep"):
        open_artifact(f"models:/{NAME}/1")
    assert len(fake.requests) < 50


def test_a_file_that_is_longer_than_it_was_listed(fake: FakeTracker) -> None:
    fake.intercept = lambda request: Answer(body=b"x" * 8000) if request.path.endswith("model.bin") else None
    with pytest.raises(ArtifactRefused, match="listed with 7,000 bytes"):
        open_artifact(f"models:/{NAME}/1")


@pytest.mark.parametrize("limits", [Limits(files=1), Limits(bytes=100), Limits(depth=0), Limits(path_length=5)])
def test_every_limit_holds_before_anything_is_downloaded(fake: FakeTracker, limits: Limits) -> None:
    with pytest.raises(ArtifactRefused):
        open_artifact(f"models:/{NAME}/1", limits=limits)
    assert not any(one.path.endswith("model.bin") for one in fake.requests)


def test_artifacts_in_a_bucket(fake: FakeTracker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where servers send their clients to the store itself. Memory stands for it here."""
    import fsspec

    from pratique.sources import tracking

    monkeypatch.setattr(tracking, "_ELSEWHERE", frozenset({"memory"}))
    memory = fsspec.filesystem("memory")
    for path, data in FILES.items():
        memory.pipe(f"/mlflow/r1/{path}", data)
    fake.storage = "memory://mlflow/{run}"
    got = open_artifact(f"models:/{NAME}/1")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert got.origin is not None
    assert got.origin.ids["storage objects"] == "3"
    memory.rm("/mlflow", recursive=True)


def test_who_we_are_there(fake: FakeTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    got = open_artifact(f"models:/{NAME}/1")
    assert {one.headers["authorization"] for one in fake.requests} == {"Basic bWU6c2VjcmV0"}
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    open_artifact(f"models:/{NAME}/1")
    assert fake.requests[-1].headers["authorization"] == "Bearer t0ken"
    assert "secret" not in repr(got)


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "./mlruns", "databricks"])
def test_a_tracking_uri_that_is_no_server(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI"):
        open_artifact("models:/m/1")


@pytest.mark.parametrize(
    "uri", ["models:/m", "models:/m/1/2", "models:/m@a/1", "models://m/1", "models:/", "runs:/r", "runs:/r/../x"]
)
def test_what_names_no_model(fake: FakeTracker, uri: str) -> None:
    with pytest.raises(ArtifactRefused):
        open_artifact(uri)
