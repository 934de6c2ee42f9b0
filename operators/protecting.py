"""A middleware for Airflow's API server: nobody edits the state or the XComs of a gate by hand. `protect_gates = True`.

It answers 403 to a request that would change a task of this package (or of a class in `gate_operators`): its state, its XComs;
alone, in bulk, as part of a task group, or by way of the whole run. Notes, clearing (which runs the task again), answers to
Airflow's own questions (human in the loop) and everything about other tasks pass.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from pratique.operators import guarding

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MOST = 4 << 20
"""Bytes of a request's body that are looked at; a longer one is refused."""

_RUNS = re.compile(
    r"/(?:api/v\d+|ui)/dags/(?P<dag>[^/]+)/dagRuns(?:/(?P<run>[^/]+))?"
    r"(?:/(?P<what>taskInstances|taskGroupInstances)(?:/(?P<task>[^/]+)(?P<rest>/.*)?)?)?/?\Z",
    re.DOTALL,  # the key of an XCom may hold anything
)
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HARMLESS = re.compile(r"(?:/-?\d+)?/(?:dry_run|hitlDetails)/?")
_MAPPED = re.compile(r"/-?\d+/?")
_ANY = "~"


class GateGuard:
    """An ASGI middleware."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse, or hand the request on as it came."""
        if scope["type"] != "http" or scope["method"] in _READING:
            return await self.app(scope, receive, send)
        found = _RUNS.search(str(scope["path"]))
        if found is None or _HARMLESS.fullmatch(found["rest"] or "") or (scope["method"] == "POST" and found["task"] == "list"):
            return await self.app(scope, receive, send)
        body, heard = await _read(receive)
        why = "the request is too long" if body is None else await asyncio.to_thread(refusal, scope["method"], found, body)
        if why:
            return await _forbid(send, why)
        await self.app(scope, _again(heard, receive), send)


def refusal(method: str, asked: re.Match[str], body: bytes) -> str:
    """Why a request is refused; '' if it may pass. Reads Airflow's database."""
    try:
        said = json.loads(body or b"{}")
    except ValueError:
        said = None  # Airflow refuses it where it reads the body; to delete something it reads none
    if asked["what"] is None and method in ("POST", "DELETE"):
        return ""  # triggering, clearing and deleting a run: nothing is taken for done
    for dag, task in _named(method, asked, said):
        if dag == _ANY or _has_gate(dag, task):
            what = f"the task {task!r}" if task else "a run or a group of tasks with a gate in it"
            why = "nobody edits the state or the XComs of a gate by hand; clear it, and it runs again"
            return f"{what} of DAG {dag!r} is guarded by pratique: {why}"
    return ""


def _named(method: str, asked: re.Match[str], said: Any) -> Iterator[tuple[str, str]]:
    """The tasks that a request would change, as (DAG, task); '' stands for every task of the DAG."""
    dag, task = asked["dag"], asked["task"] or ""
    only_note = method == "PATCH" and isinstance(said, dict) and set(said) == {"note"}
    if asked["what"] == "taskInstances" and task:
        if not (only_note and (not asked["rest"] or _MAPPED.fullmatch(asked["rest"]))):
            yield dag, task
    elif asked["what"] == "taskGroupInstances":
        if not only_note:
            yield dag, ""
    elif asked["what"] == "taskInstances":
        for action, entity in _entities(said):
            one = entity if isinstance(entity, dict) else {"task_id": entity}
            if action != "update" or set(one) & {"new_state", "state"}:
                yield str(one.get("dag_id") or dag), str(one.get("task_id") or "")
    elif asked["run"]:
        if isinstance(said, dict) and said.get("state") == "success":
            yield dag, ""
    else:
        for _, entity in _entities(said):
            if isinstance(entity, dict) and entity.get("state") == "success":
                yield str(entity.get("dag_id") or dag), ""


def _entities(said: Any) -> Iterator[tuple[str, Any]]:
    """What a bulk request does, and to what."""
    actions = said.get("actions") if isinstance(said, dict) else None
    for action in actions if isinstance(actions, list) else ():
        entities = action.get("entities") if isinstance(action, dict) else None
        yield from ((str(action.get("action")), one) for one in (entities if isinstance(entities, list) else ()))


def _has_gate(dag: str, task: str) -> bool:
    """Whether this task, or any of the DAG's, is one of ours. By its class in the database, in whatever version of the DAG."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(TaskInstance.operator).where(TaskInstance.dag_id == dag).distinct()
    if task:
        query = query.where(TaskInstance.task_id == task)
    with create_session() as session:
        return any(guarding.ours(one) for one in session.scalars(query))


async def _read(receive: Receive) -> tuple[bytes | None, list[Message]]:
    """The body, None if it is too long, and the messages that it came in."""
    body, heard, more = b"", [], True
    while more:
        message = await receive()
        heard.append(message)
        body += message.get("body", b"")
        more = bool(message.get("more_body")) and message["type"] == "http.request"
        if len(body) > MOST:
            return None, heard
    return body, heard


def _again(heard: list[Message], receive: Receive) -> Receive:
    """Let the application hear what was read already."""
    ahead = iter(heard)

    async def hear() -> Message:
        for message in ahead:
            return message
        return await receive()

    return hear


async def _forbid(send: Send, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
