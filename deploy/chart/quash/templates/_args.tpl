{{/* The command line, as a YAML list. It names files and contains no secrets. */}}
{{- define "quash.args" -}}
- serve
- --upstream-url={{ .Values.upstream.url }}
- --grpc-addr=:{{ .Values.ports.grpc }}
- --http-addr=:{{ .Values.ports.http }}
- --admin-addr=:{{ .Values.ports.admin }}
{{- range $file := include "quash.files" . | fromYamlArray }}
{{- range $flag, $key := $file.flags }}
- {{ $flag }}=/etc/quash/{{ $file.name }}/{{ $key }}
{{- end }}
{{- end }}
{{- if .Values.tls.secretName }}
- --tls-min-version={{ .Values.tls.minVersion }}
{{- end }}
{{- if .Values.insecure }}
- --insecure
{{- end }}
- --max-in-flight={{ int .Values.maxInFlight }}
- --max-connection-age={{ .Values.maxConnectionAge }}
- --drain-delay={{ int .Values.drain.delaySeconds }}s
- --drain-timeout={{ int .Values.drain.timeoutSeconds }}s
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- if .Values.docs }}
- --docs
{{- end }}
{{- range .Values.cors.allowedOrigins }}
- --cors-allowed-origin={{ . }}
{{- end }}
{{- end -}}

{{/*
How long a pod may take to stop. quash exits within the sum of both values, plus five seconds
for its admin listener, its file watches and its last spans. If the kubelet killed it earlier,
revocations would be cut off.
*/}}
{{- define "quash.gracePeriodSeconds" -}}
{{- add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 10 -}}
{{- end -}}

{{/* The scheme of the admin listener: it uses TLS if there is a certificate. */}}
{{- define "quash.adminScheme" -}}
{{- ternary "https" "http" (not (empty .Values.tls.secretName)) -}}
{{- end -}}

{{/* The httpGet of a probe at the admin listener. The argument is a list of the root context and the path. */}}
{{- define "quash.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: admin
  scheme: {{ include "quash.adminScheme" (index . 0) | upper }}
{{- end -}}

{{/*
The environment, as a YAML list. GOMEMLIMIT is below the container's limit, because the Go
runtime counts less memory than the kernel does. The runtime detects a CPU limit automatically.
*/}}
{{- define "quash.env" -}}
{{- $env := .Values.extraEnv -}}
{{- $limit := dig "limits" "memory" "" .Values.resources -}}
{{- $names := list -}}
{{- range $env -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if and $limit (not (has "GOMEMLIMIT" $names)) -}}
{{- $bytes := include "quash.bytes" $limit | int64 -}}
{{- $env = prepend $env (dict "name" "GOMEMLIMIT" "value" (div (mul $bytes 9) 10 | toString)) -}}
{{- end -}}
{{- if not (has "GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT" $names) -}}
{{- $env = prepend $env (dict "name" "GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT" "value" "100") -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{/* A quantity of memory in bytes, or empty if it is not a whole number. */}}
{{- define "quash.bytes" -}}
{{- $unit := regexFind "[A-Za-z]*$" (toString .) -}}
{{- $scale := get (dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824) $unit -}}
{{- if and $scale (regexMatch "^[0-9]+[A-Za-z]*$" (toString .)) -}}
{{- mul (trimSuffix $unit (toString .) | int64) $scale -}}
{{- end -}}
{{- end -}}

{{- define "quash.upstreamPort" -}}
{{- $url := urlParse .Values.upstream.url -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary 443 80 (eq $url.scheme "https")) -}}
{{- end -}}
