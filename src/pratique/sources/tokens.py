"""Who we are to an OCI registry: nobody, or whom the environment names (PRATIQUE_REGISTRY_AUTH, PRATIQUE_REGISTRY_CONFIG).

A registry that answers 401 says how it wants to be asked: `Basic`, or `Bearer` with a realm where a token for one repository
is had, often without any credentials (distribution-spec, and Docker's token authentication specification).
"""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import urlencode

from pratique import documents, settings
from pratique.errors import ArtifactRefused, Malformed, UsageError
from pratique.sources.connecting import Patience, Place, is_loopback
from pratique.sources.redacting import redact
from pratique.sources.web import Challenge, Web

_PARAMETER = re.compile(r'(?<![a-z_])([a-z_]{1,40})="([^"]*)"', re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+\Z")
HINT = "name credentials in PRATIQUE_REGISTRY_AUTH (host=user:password), or a Docker config.json in PRATIQUE_REGISTRY_CONFIG"


def answering(home: str, host: str, repository: str, patience: Patience | None) -> Challenge:
    """How to answer a registry's challenges, for pulling from one repository."""

    def answer(header: str) -> str:
        scheme = header.partition(" ")[0].lower()
        basic = _basic(host)
        if scheme == "basic":
            if not basic:
                raise ArtifactRefused(f"the registry {host} wants to know who asks", hint=HINT)
            return basic
        if scheme == "bearer":
            return _bearer(home, host, repository, dict(_PARAMETER.findall(header)), basic, patience)
        raise ArtifactRefused(f"the registry {host} asks for {scheme or 'no'} authentication, which is not known", hint=HINT)

    return answer


def _bearer(home: str, host: str, repository: str, challenge: dict[str, str], basic: str, patience: Patience | None) -> str:
    """Ask the realm for a token. The scope is ours: pulling from this repository, whatever the registry asks for."""
    realm = challenge.get("realm", "")
    if is_loopback(Place.of(realm).host) and not is_loopback(Place.of(home).host):
        raise ArtifactRefused(f"the registry {host} sends us to {redact(realm)}, this very machine, for a token")
    query = {"service": challenge.get("service", ""), "scope": f"repository:{repository}:pull"}
    joined = f"{realm}{'&' if '?' in realm else '?'}{urlencode({key: value for key, value in query.items() if value})}"
    answer = Web(realm, authorization=basic, patience=patience, hint=HINT).read(joined, most=1 << 20).json()
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise ArtifactRefused(f"{redact(realm)} does not give a token for {host}", hint=HINT)
    return f"Bearer {token}"


def _basic(host: str) -> str:
    """The value of an `Authorization` header for one host; '' if nothing was named for it."""
    named, _, pair = settings.registry_auth().partition("=")
    if named == host and pair:
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    path = settings.registry_config()
    if path is None:
        return ""
    try:
        config = documents.parse(path.read_bytes(), what=str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="PRATIQUE_REGISTRY_CONFIG names it") from error
    except Malformed as error:
        raise UsageError(str(error), hint="PRATIQUE_REGISTRY_CONFIG names it") from error
    return _of_config(config, host, str(path))


def _of_config(config: Any, host: str, path: str) -> str:
    if not isinstance(config, dict):
        raise UsageError(f"{path} is not a Docker configuration", hint="PRATIQUE_REGISTRY_CONFIG names it")
    auths = config.get("auths")
    entry = auths.get(host) if isinstance(auths, dict) else None
    auth = entry.get("auth") if isinstance(entry, dict) else None
    if isinstance(auth, str) and _TOKEN.match(auth):
        return f"Basic {auth}"
    helpers = config.get("credHelpers")
    if entry is not None or (isinstance(helpers, dict) and host in helpers):
        # A helper is a program, and an identity token needs another protocol: neither is run on a stranger's behalf.
        raise UsageError(f"{path} keeps the credentials for {host} elsewhere", hint=HINT)
    return ""
