{{/* What survives an uninstall: without it, removing the release would open what it keeps shut. */}}
{{- define "pratique.keep" -}}
annotations: {helm.sh/resource-policy: keep}
{{- end }}

{{- define "pratique.labels" -}}
app.kubernetes.io/name: pratique
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* A list of texts as CEL writes it. The schema refuses quotes and backslashes in them. */}}
{{- define "pratique.list" -}}
[{{ range $index, $one := . }}{{ if $index }}, {{ end }}'{{ $one }}'{{ end }}]
{{- end }}

{{- define "pratique.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "pratique.exceptions" }}
{{- range .list }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: exception-{{ lower $.direction }}-{{ .name }}
  namespace: {{ $.namespace }}
  labels: {pratique.dev/exception: {{ .name | quote }}}
  {{- include "pratique.keep" $ | nindent 2 }}
spec:
  podSelector: {}
  policyTypes: [{{ $.direction }}]
  {{ lower $.direction }}:
  - {{ ternary "from" "to" (eq $.direction "Ingress") }}:
    {{- if .cidr }}
    - ipBlock: {cidr: {{ .cidr | quote }}}
    {{- else }}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}}
      podSelector: {matchLabels: {{ toJson .podLabels }} }
    {{- end }}
    ports: [{protocol: TCP, port: {{ .port }}}]
{{- end }}
{{- end }}
