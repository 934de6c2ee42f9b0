"""What is known about kinds of Kubernetes objects: which live in namespaces, which start pods, which hold no danger here."""

from __future__ import annotations

RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
KSERVE = "serving.kserve.io"

CLUSTER_WIDE = frozenset(
    {
        ("", "Namespace"), ("", "Node"), ("", "PersistentVolume"), (RBAC, "ClusterRole"), (RBAC, "ClusterRoleBinding"),
        (ADMISSION, "ValidatingAdmissionPolicy"), (ADMISSION, "ValidatingAdmissionPolicyBinding"),
        (ADMISSION, "MutatingAdmissionPolicy"), (ADMISSION, "MutatingAdmissionPolicyBinding"),
        (ADMISSION, "ValidatingWebhookConfiguration"), (ADMISSION, "MutatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"), ("storage.k8s.io", "StorageClass"),
        ("scheduling.k8s.io", "PriorityClass"), ("apiregistration.k8s.io", "APIService"),
    }
)  # fmt: skip

PODS = frozenset(
    {
        ("", "Pod"), ("", "ReplicationController"), ("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"), ("batch", "Job"), ("batch", "CronJob"),
    }
)  # fmt: skip
"""Kubernetes' own kinds that are pods, or make them."""

NAMESPACED = PODS | {
    ("", "ConfigMap"), ("", "Secret"), ("", "Service"), ("", "ServiceAccount"), ("", "Endpoints"),
    ("", "PersistentVolumeClaim"), ("", "LimitRange"), ("", "ResourceQuota"), ("", "PodTemplate"),
    (RBAC, "Role"), (RBAC, "RoleBinding"), (NETWORKING, "NetworkPolicy"), (NETWORKING, "Ingress"),
    ("discovery.k8s.io", "EndpointSlice"), ("policy", "PodDisruptionBudget"), ("autoscaling", "HorizontalPodAutoscaler"),
    ("coordination.k8s.io", "Lease"), (KSERVE, "InferenceService"), (KSERVE, "LLMInferenceService"), (KSERVE, "TrainedModel"),
    ("security.istio.io", "AuthorizationPolicy"), ("security.istio.io", "PeerAuthentication"),
    ("external-secrets.io", "ExternalSecret"), ("external-secrets.io", "SecretStore"),
}  # fmt: skip

STARTERS = frozenset(
    {
        ("", "pods"), ("", "replicationcontrollers"), ("apps", "deployments"), ("apps", "statefulsets"),
        ("apps", "daemonsets"), ("apps", "replicasets"), ("batch", "jobs"), ("batch", "cronjobs"),
        # Custom resources whose controller makes pods of them, with an account that their author names.
        (KSERVE, "inferenceservices"), (KSERVE, "llminferenceservices"), (KSERVE, "servingruntimes"),
        (KSERVE, "inferencegraphs"), (KSERVE, "trainedmodels"), ("serving.knative.dev", "services"),
        ("serving.knative.dev", "configurations"), ("serving.knative.dev", "revisions"),
        ("argoproj.io", "workflows"), ("argoproj.io", "cronworkflows"), ("argoproj.io", "workflowtemplates"),
        ("argoproj.io", "sensors"), ("argoproj.io", "eventsources"), ("argoproj.io", "rollouts"),
        ("kubeflow.org", "notebooks"), ("kubeflow.org", "pytorchjobs"), ("kubeflow.org", "tfjobs"),
        ("kubeflow.org", "mpijobs"), ("kubeflow.org", "xgboostjobs"), ("kubeflow.org", "paddlejobs"),
        ("kubeflow.org", "jaxjobs"), ("kubeflow.org", "experiments"), ("kubeflow.org", "trials"),
        ("kubeflow.org", "suggestions"), ("kubeflow.org", "scheduledworkflows"), ("kubeflow.org", "viewers"),
        ("kubeflow.org", "poddefaults"), ("trainer.kubeflow.org", "trainjobs"),
        ("trainer.kubeflow.org", "trainingruntimes"), ("jobset.x-k8s.io", "jobsets"),
        ("leaderworkerset.x-k8s.io", "leaderworkersets"), ("tensorboard.kubeflow.org", "tensorboards"),
        ("sparkoperator.k8s.io", "sparkapplications"), ("sparkoperator.k8s.io", "scheduledsparkapplications"),
        ("sparkoperator.k8s.io", "sparkconnects"), ("ray.io", "rayclusters"), ("ray.io", "rayjobs"), ("ray.io", "rayservices"),
        ("machinelearning.seldon.io", "seldondeployments"), ("mlops.seldon.io", "models"), ("mlops.seldon.io", "servers"),
        ("tekton.dev", "pipelineruns"), ("tekton.dev", "taskruns"), ("flink.apache.org", "flinkdeployments"),
        ("dask.org", "daskclusters"), ("kubernetes.dask.org", "daskclusters"), ("kubernetes.dask.org", "daskjobs"),
        ("batch.volcano.sh", "jobs"), ("workspace.devfile.io", "devworkspaces"),
    }
)  # fmt: skip
"""Resources of which whoever writes one gets to run a pod as any account of its namespace."""

GITOPS = frozenset(
    {
        ("argoproj.io", "applications"), ("argoproj.io", "applicationsets"), ("kustomize.toolkit.fluxcd.io", "kustomizations"),
        ("helm.toolkit.fluxcd.io", "helmreleases"), ("kubeflow.org", "profiles"),
    }
)  # fmt: skip
"""Resources whose controller writes whatever their author asks for, into whatever namespace."""

HARMLESS_GROUPS = frozenset(
    {
        "networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "cert-manager.io",
        "acme.cert-manager.io", "monitoring.coreos.com", "external-secrets.io", "gateway.networking.k8s.io", "autoscaling",
        "policy", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "metacontroller.k8s.io", NETWORKING, RBAC, "",
        "caching.internal.knative.dev", "networking.internal.knative.dev", "autoscaling.internal.knative.dev",
        "secrets-store.csi.x-k8s.io", "kueue.x-k8s.io", "cilium.io", "crd.projectcalico.org", "policy.networking.k8s.io",
        "apps", "batch", "storage.k8s.io", "scheduling.k8s.io", ADMISSION, "apiextensions.k8s.io", "apiregistration.k8s.io",
        "flowcontrol.apiserver.k8s.io", "certificates.k8s.io", "node.k8s.io", "resource.k8s.io",
    }
)  # fmt: skip
"""Groups of objects in a namespace that start no pods themselves. Some of them are read by a rule of their own."""

SELF = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "selfsubjectattributesreviews"})
"""What everybody may ask about themselves."""
