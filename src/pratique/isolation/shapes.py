"""The parts of Kubernetes objects that isolation turns on, as they must look; whatever else an object says is left alone.

Objects come from strangers. One whose parts have other types than the API server would take is not guessed at: pydantic refuses
it, and what cannot be read cannot be proved (`reading`). `null` is what is left out, as in Go.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")
Many = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
Words = Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Flag = Annotated[bool, BeforeValidator(lambda value: bool(value) if value is None else value)]


class Shape(BaseModel):
    """Strict in what it reads, blind to the rest."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel)


class Meta(Shape):
    """`metadata`."""

    name: Text = ""
    namespace: Text = ""
    labels: Words = {}
    annotations: Words = {}


class Expression(Shape):
    """One line of a selector's `matchExpressions`."""

    key: str
    operator: str
    values: Many[str] = []


class Selector(Shape):
    """A label selector; an empty one selects everything."""

    match_labels: Words = {}
    match_expressions: Many[Expression] = []


class Rule(Shape):
    """What a role allows."""

    verbs: Many[str] = []
    api_groups: Many[str] = []
    resources: Many[str] = []
    resource_names: Many[str] = []


class Aggregation(Shape):
    """Of which other ClusterRoles a ClusterRole is made."""

    cluster_role_selectors: Many[Selector] = []


class Role(Shape):
    """A Role or ClusterRole."""

    rules: Many[Rule] = []
    aggregation_rule: Aggregation | None = None


class Subject(Shape):
    """Somebody in a binding."""

    kind: str
    name: str
    namespace: Text = ""


class RoleRef(Shape):
    """The role in a binding."""

    kind: str
    name: str


class Binding(Shape):
    """A RoleBinding or ClusterRoleBinding."""

    role_ref: RoleRef
    subjects: Many[Subject] = []


class Block(Shape):
    """Addresses."""

    cidr: str
    except_: Many[str] = Field(default=[], alias="except")


class Peer(Shape):
    """The other end of a connection, in a NetworkPolicy."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: Block | None = None


class PolicyPort(Shape):
    """A port in a NetworkPolicy: a number, a range, the name of one, or every one of a protocol."""

    protocol: Text = "TCP"
    port: int | str | None = None
    end_port: int | None = None


class Ingress(Shape):
    """Who may connect."""

    from_: Many[Peer] = Field(default=[], alias="from")
    ports: Many[PolicyPort] = []


class Egress(Shape):
    """To whom one may connect."""

    to: Many[Peer] = []
    ports: Many[PolicyPort] = []


class NetworkSpec(Shape):
    """The `spec` of a NetworkPolicy."""

    pod_selector: Selector = Selector()
    policy_types: Many[str] = []
    ingress: Many[Ingress] = []
    egress: Many[Egress] = []


class NetworkPolicy(Shape):
    """A NetworkPolicy."""

    spec: NetworkSpec


class Capabilities(Shape):
    """Of a container."""

    add: Many[str] = []


class SecurityContext(Shape):
    """Of a container."""

    privileged: Flag = False
    capabilities: Capabilities | None = None


class EnvVar(Shape):
    """An environment variable."""

    name: Text = ""
    value: Text = ""


class ContainerPort(Shape):
    """A port that a container says it listens on."""

    container_port: int
    protocol: Text = "TCP"
    name: Text = ""


class Container(Shape):
    """A container of any sort."""

    name: Text = ""
    image: Text = ""
    command: Many[str] = []
    args: Many[str] = []
    env: Many[EnvVar] = []
    ports: Many[ContainerPort] = []
    security_context: SecurityContext | None = None


class Named(Shape):
    """A reference by name."""

    name: Text = ""


class PodSpec(Shape):
    """What a pod is made of."""

    service_account_name: Text = ""
    service_account: Text = ""
    automount_service_account_token: bool | None = None
    host_network: Flag = False
    host_pid: Flag = Field(default=False, alias="hostPID")
    host_ipc: Flag = Field(default=False, alias="hostIPC")
    containers: Many[Container] = []
    init_containers: Many[Container] = []
    ephemeral_containers: Many[Container] = []
    volumes: Many[dict[str, Any]] = []

    @property
    def every_container(self) -> list[Container]:
        """Also those that run before, and those that are added to look inside."""
        return [*self.containers, *self.init_containers, *self.ephemeral_containers]


class ServicePort(Shape):
    """A port of a Service."""

    port: int | None = None


class ServiceSpec(Shape):
    """The `spec` of a Service."""

    type: Text = "ClusterIP"
    external_name: Text = ""
    external_ips: Many[str] = Field(default=[], alias="externalIPs")
    selector: Words = {}


class Service(Shape):
    """A Service."""

    spec: ServiceSpec = ServiceSpec()


class ServiceAccount(Shape):
    """A ServiceAccount."""

    automount_service_account_token: bool | None = None
