{{- define "ci-build-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ci-build-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $whole := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $whole .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ci-build-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "ci-build-exporter.serviceAccountName" -}}
{{- default (.Values.serviceAccount.create | ternary (include "ci-build-exporter.fullname" .) "default") .Values.serviceAccount.name }}
{{- end }}

{{- define "ci-build-exporter.image" -}}
{{- with .Values.image }}
{{- with default .registry $.Values.global.imageRegistry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- define "ci-build-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ci-build-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ci-build-exporter.labels" -}}
{{ include "ci-build-exporter.selectorLabels" . }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: {{ include "ci-build-exporter.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /*
The metadata of a manifest: a list of the root, then where they differ from the usual, a map of suffix, namespace, labels and
annotations. What the user says wins, but over the labels by which pods are selected.
*/ -}}
{{- define "ci-build-exporter.metadata" -}}
{{- $root := index . 0 }}
{{- $own := index . 1 -}}
name: {{ include "ci-build-exporter.fullname" $root }}{{ $own.suffix }}
namespace: {{ default (include "ci-build-exporter.namespace" $root) $own.namespace }}
labels:
  {{- $labels := include "ci-build-exporter.labels" $root | fromYaml }}
  {{- $selector := include "ci-build-exporter.selectorLabels" $root | fromYaml }}
  {{- toYaml (mergeOverwrite $labels $root.Values.commonLabels (default dict $own.labels) $selector) | nindent 2 }}
{{- with $own.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The Secret with the web configuration; empty where there is none. */ -}}
{{- define "ci-build-exporter.webConfigSecret" -}}
{{- if .Values.webConfigSecret.name }}{{ .Values.webConfigSecret.name }}
{{- else if .Values.webConfig }}{{ include "ci-build-exporter.fullname" . }}-web
{{- end }}
{{- end }}

{{- define "ci-build-exporter.tls" -}}
{{- if .Values.webConfigSecret.name }}{{ if .Values.webConfigSecret.tls }}true{{ end }}
{{- else if .Values.webConfig.tls_server_config }}true
{{- end }}
{{- end }}

{{- define "ci-build-exporter.clientCertificates" -}}
{{- if .Values.webConfigSecret.name }}{{ if .Values.webConfigSecret.clientCertificates }}true{{ end }}
{{- else if eq "RequireAndVerifyClientCert" (dig "tls_server_config" "client_auth_type" "" .Values.webConfig) }}true
{{- end }}
{{- end }}

{{- /* What curl needs to ask the exporter, up to the host. */ -}}
{{- define "ci-build-exporter.asking" -}}
{{- if and .Values.webConfig.basic_auth_users (not .Values.webConfigSecret.name) }}--user {{ keys .Values.webConfig.basic_auth_users | sortAlpha | first }} {{ end }}
{{- if include "ci-build-exporter.clientCertificates" . }}--cert client.crt --key client.key {{ end }}
{{- if include "ci-build-exporter.tls" . }}--insecure https://{{ else }}http://{{ end }}
{{- end }}

{{- /* A probe as the values have it; over TLS by HTTPS, and where clients need a certificate by a connection alone. */ -}}
{{- define "ci-build-exporter.probe" -}}
{{- $probe := deepCopy (index . 1) }}
{{- with $probe.httpGet }}
{{- if include "ci-build-exporter.clientCertificates" (index $ 0) }}
{{- $_ := set $probe "tcpSocket" (pick . "port") }}
{{- $_ := unset $probe "httpGet" }}
{{- else if and (include "ci-build-exporter.tls" (index $ 0)) (not .scheme) }}
{{- $_ := set . "scheme" "HTTPS" }}
{{- end }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{- /* Whether the demo is served: where it is asked for, or where nothing is configured at all. */ -}}
{{- define "ci-build-exporter.demo" -}}
{{- if .Values.demo }}true
{{- else if not .Values.config.sources }}
{{- if or (omit .Values.config "sources") (include "ci-build-exporter.hasSecrets" .) (include "ci-build-exporter.webConfigSecret" .) }}
{{- fail "config.sources names nothing to read: give it a source, or set demo=true to try without any" }}
{{- end }}true
{{- end }}
{{- end }}

{{- /* Whether the state is in a file, which serves one process only. */ -}}
{{- define "ci-build-exporter.sqlite" -}}
{{- if not (include "ci-build-exporter.demo" .) }}
{{- $sqlite := eq .Values.store.type "sqlite" }}
{{- if and $sqlite .Values.config.store }}
{{- fail "store.type and config.store both say where the state is kept: leave one of them out" }}
{{- end }}
{{- if or $sqlite (hasPrefix "sqlite:" (default "" .Values.config.store)) }}
{{- if gt (int .Values.replicas) 1 }}
{{- fail (printf "a state file serves one process only: set replicas to 1 instead of %d, or keep the state in memory" (int .Values.replicas)) }}
{{- end }}true
{{- end }}
{{- end }}
{{- end }}

{{- /* Whether the chart mounts a volume for that file. */ -}}
{{- define "ci-build-exporter.stateVolume" -}}
{{- if and (include "ci-build-exporter.sqlite" .) (eq .Values.store.type "sqlite") }}true{{ end }}
{{- end }}

{{- /* The exporter's configuration. */ -}}
{{- define "ci-build-exporter.config" -}}
{{- $store := dict }}
{{- if include "ci-build-exporter.stateVolume" . }}{{ $store = dict "store" (printf "sqlite://%s" .Values.store.path) }}{{ end }}
{{- toYaml (merge $store .Values.config) }}
{{- end }}

{{- define "ci-build-exporter.hasSecrets" -}}
{{- if or .Values.existingSecrets .Values.secrets }}true{{ end }}
{{- end }}
