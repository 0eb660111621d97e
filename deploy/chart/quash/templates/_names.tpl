{{/* The name of all objects. It is cut to 45 characters to leave room for suffixes. */}}
{{- define "quash.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- .Values.fullnameOverride | default $name | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{- define "quash.headless" -}}
{{ include "quash.name" . }}-headless
{{- end -}}

{{- define "quash.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "quash.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "quash.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods of this release. A Deployment's selector is immutable: never change them. */}}
{{- define "quash.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of pods. The chart's version is not among them: a new chart version would restart all pods. */}}
{{- define "quash.podLabels" -}}
{{ include "quash.selector" . }}
{{- with .Values.image.tag }}
app.kubernetes.io/version: {{ . | trunc 63 | quote }}
{{- end }}
{{- end -}}

{{- define "quash.labels" -}}
{{ include "quash.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}
