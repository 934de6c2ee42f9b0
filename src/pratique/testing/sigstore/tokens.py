"""Identity tokens, and what Fulcio makes of them (https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

Claims = Mapping[str, Any]


def email(address: str, issuer: str = "https://accounts.google.com") -> Claims:
    """A person, or a service account, by e-mail address."""
    return {"iss": issuer, "sub": address, "email": address, "email_verified": True}


def uri(identity: str, issuer: str) -> Claims:
    """Whatever names itself by a URI, such as a SPIFFE id."""
    return {"iss": issuer, "sub": identity}


def github(repository: str, workflow: str = "release.yml", ref: str = "refs/heads/main", **changes: str) -> Claims:
    """A job of GitHub Actions."""
    job = f"{repository}/.github/workflows/{workflow}@{ref}"
    return {
        "iss": "https://token.actions.githubusercontent.com", "sub": f"repo:{repository}:ref:{ref}", "job_workflow_ref": job,
        "job_workflow_sha": "c" * 40, "workflow_ref": job, "workflow_sha": "c" * 40, "repository": repository, "ref": ref,
        "sha": "c" * 40, "event_name": "push", "repository_id": "1001", "repository_owner": repository.split("/")[0],
        "repository_owner_id": "11", "runner_environment": "github-hosted", "run_id": "7", "run_attempt": "1",
        "repository_visibility": "public", **changes,
    }  # fmt: skip


def gitlab(project: str, config: str = ".gitlab-ci.yml", ref: str = "refs/heads/main", **changes: str) -> Claims:
    """A job of GitLab CI."""
    host = "https://gitlab.com"
    return {
        "iss": host, "sub": f"project_path:{project}:ref_path:{ref}", "project_path": project, "ref_path": ref,
        "ci_config_ref_uri": f"{host.removeprefix('https://')}/{project}//{config}@{ref}", "ci_config_sha": "c" * 40,
        "sha": "c" * 40, "project_id": "2002", "namespace_path": project.rpartition("/")[0], "namespace_id": "22",
        "pipeline_source": "push", "runner_environment": "gitlab-hosted", "project_visibility": "public", "job_id": "9",
        **changes,
    }  # fmt: skip


def subject(claims: Claims) -> x509.GeneralName:
    """The identity that a certificate will name."""
    if "job_workflow_ref" in claims:
        return x509.UniformResourceIdentifier(f"https://github.com/{claims['job_workflow_ref']}")
    if "ci_config_ref_uri" in claims:
        return x509.UniformResourceIdentifier(f"https://{claims['ci_config_ref_uri']}")
    if "email" in claims:
        return x509.RFC822Name(claims["email"])
    return x509.UniformResourceIdentifier(claims["sub"])


def extensions(claims: Claims) -> dict[int, str]:
    """What else it will claim, by the last number of the OID."""
    if "job_workflow_ref" in claims:
        return _github(claims)
    if "ci_config_ref_uri" in claims:
        return _gitlab(claims)
    return {8: claims["iss"]}


def _github(claims: Claims) -> dict[int, str]:
    host = "https://github.com"
    repository = f"{host}/{claims['repository']}"
    return {
        8: claims["iss"], 9: f"{host}/{claims['job_workflow_ref']}", 10: claims["job_workflow_sha"],
        11: claims["runner_environment"], 12: repository, 13: claims["sha"], 14: claims["ref"], 15: claims["repository_id"],
        16: f"{host}/{claims['repository_owner']}", 17: claims["repository_owner_id"], 18: f"{host}/{claims['workflow_ref']}",
        19: claims["workflow_sha"], 20: claims["event_name"],
        21: f"{repository}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}",
        22: claims["repository_visibility"], **_environment(claims),
    }  # fmt: skip


def _gitlab(claims: Claims) -> dict[int, str]:
    host = claims["iss"]
    config = f"https://{claims['ci_config_ref_uri']}"
    return {
        8: host, 9: config, 10: claims["ci_config_sha"], 11: claims["runner_environment"],
        12: f"{host}/{claims['project_path']}", 13: claims["sha"], 14: claims["ref_path"], 15: claims["project_id"],
        16: f"{host}/{claims['namespace_path']}", 17: claims["namespace_id"], 18: config, 19: claims["ci_config_sha"],
        20: claims["pipeline_source"], 21: f"{host}/{claims['project_path']}/-/jobs/{claims['job_id']}",
        22: claims["project_visibility"], **_environment(claims),
    }  # fmt: skip


def _environment(claims: Claims) -> dict[int, str]:
    """The deployment environment, for a job that has one."""
    return {23: claims["environment"]} if "environment" in claims else {}


def issue(claims: Claims, now: int, key: ec.EllipticCurvePrivateKey, *, minutes: int = 10) -> str:
    """A signed JSON web token (RFC 7519)."""
    timed = {"aud": "sigstore", "iat": now, "nbf": now - 5, "exp": now + 60 * minutes, **claims}
    body = f"{_segment({'alg': 'ES256', 'typ': 'JWT'})}.{_segment(timed)}"
    signature = key.sign(body.encode(), ec.ECDSA(hashes.SHA256()))
    return f"{body}.{_text(signature)}"


def read(token: str, now: int, key: ec.EllipticCurvePublicKey) -> Claims:
    """The claims of a token.

    Raises:
        ValueError: it is not one of ours, is for somebody else, or has expired.
    """
    body, _, signature = token.rpartition(".")
    try:
        key.verify(_bytes(signature), body.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise ValueError("the token is not by this issuer") from error
    claims: Claims = json.loads(_bytes(body.partition(".")[2]))
    if claims["aud"] != "sigstore" or not claims["nbf"] <= now < claims["exp"]:
        raise ValueError("the token is for somebody else, or has expired")
    return claims


def _segment(value: Any) -> str:
    return _text(json.dumps(value).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
