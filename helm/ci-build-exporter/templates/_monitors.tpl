{{- /* What a ServiceMonitor and a PodMonitor have in common. */ -}}
{{- define "ci-build-exporter.limits" -}}
{{- with .Values.serviceMonitor }}
{{- with .jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{- with .bodySizeLimit }}
bodySizeLimit: {{ . }}
{{- end }}
{{- range $key := list "sampleLimit" "targetLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" }}
{{- with index $.Values.serviceMonitor $key }}
{{ $key }}: {{ . | int64 }}
{{- end }}
{{- end }}
{{- with .podTargetLabels }}
podTargetLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
namespaceSelector:
  matchNames:
    - {{ include "ci-build-exporter.namespace" $ }}
selector:
  matchLabels:
    {{- include "ci-build-exporter.selectorLabels" $ | nindent 4 }}
{{- end }}
{{- end }}

{{- define "ci-build-exporter.endpoint" -}}
{{- with .Values.serviceMonitor -}}
- port: http
  path: {{ .path }}
  interval: {{ .interval }}
  scrapeTimeout: {{ .scrapeTimeout }}
  {{- with default (empty (include "ci-build-exporter.tls" $) | ternary "" "https") .scheme }}
  scheme: {{ . }}
  {{- end }}
  {{- with .tlsConfig }}
  tlsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .basicAuth }}
  basicAuth:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
