"""A whole Airflow for slow tests: database, API server, scheduler and DAG processor, each in a process group of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

SERVICES = ("api-server", "scheduler", "dag-processor")
DONE = frozenset({"success", "failed", "skipped", "upstream_failed"})


class LiveAirflow:
    """Starts with `with`, and leaves no process behind."""

    def __init__(self, home: Path, dags: Mapping[str, str], settings: Mapping[str, str] | None = None) -> None:
        """Nothing is started yet.

        Args:
            home: an empty folder.
            dags: file names and sources of DAG files.
            settings: more of Airflow's settings, as environment variables.
        """
        self.home, self.port = home, _free_port()
        (home / "dags").mkdir(parents=True)
        for name, source in dags.items():
            (home / "dags" / name).write_text(source)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PRATIQUE_"))}
        self.base = base = f"http://127.0.0.1:{self.port}"
        self.env = kept | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": base,
            "AIRFLOW__API_AUTH__JWT_SECRET": os.urandom(32).hex(),
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "PRATIQUE_HOME": str(home / "pratique"),
            "PYTHONWARNINGS": "ignore",
            **(settings or {}),
        }
        self._services: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> LiveAirflow:
        try:
            with (self.home / "services.log").open("wb") as log:
                self.cli("db", "migrate", log=log)
                for service in SERVICES:
                    command = [sys.executable, "-m", "airflow", service]
                    self._services.append(
                        subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True, cwd=self.home)
                    )
            self.until(self._healthy, 240, "the API server and the scheduler are healthy")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for one in self._services:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.pid, sign)
            for one in self._services:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.wait(15)

    def cli(self, *arguments: str, log: Any = subprocess.DEVNULL) -> int:
        """Airflow's command line; returns its exit code."""
        command = [sys.executable, "-m", "airflow", *arguments]
        return subprocess.run(command, env=self.env, stdout=log, stderr=log, timeout=300, check=False, cwd=self.home).returncode

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the REST API; raises HTTPError."""
        url = f"{self.base}/api/v2{path}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def trigger(self, dag: str, conf: Mapping[str, Any]) -> str:
        """Start a run, once the DAG is known; returns the path of the run in the API."""

        def known() -> bool:
            with contextlib.suppress(urllib.error.HTTPError):
                return bool(self.api("GET", f"/dags/{dag}")["dag_id"])
            return False

        self.until(known, 240, f"the DAG {dag} is there")
        run = self.api("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(conf)})["dag_run_id"]
        return f"/dags/{dag}/dagRuns/{urllib.parse.quote(run, safe='')}"

    def states(self, run: str) -> dict[str, str]:
        """The state of each task, once the run is over."""

        def over() -> dict[str, str] | None:
            if self.api("GET", run)["state"] not in ("success", "failed"):
                return None
            found = {one["task_id"]: str(one["state"]) for one in self.api("GET", f"{run}/taskInstances")["task_instances"]}
            return found if set(found.values()) <= DONE else None

        return self.until(over, 400, f"the run {run} is over")

    def clear(self, run: str, tasks: list[str]) -> None:
        """Let tasks of a run run again."""
        dag, _, run_id = run.partition("/dagRuns/")
        asked = {"dry_run": False, "dag_run_id": urllib.parse.unquote(run_id), "task_ids": tasks, "only_failed": False}
        self.api("POST", f"{dag}/clearTaskInstances", {**asked, "include_downstream": False, "reset_dag_runs": True})

    def until(self, ask: Callable[[], T | None], seconds: float, what: str) -> T:
        """Ask until there is an answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = ask()
            if answer:
                return answer
            if any(one.poll() is not None for one in self._services):
                break
            time.sleep(0.25)
        tail = (self.home / "services.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"waited in vain until {what}; the services said: {tail}")

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError):
            told = self.api("GET", "/monitor/health")
            return bool(told["scheduler"]["status"] == "healthy")
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
