{{/*
The files that quash reads, as a list of {name, secret or configMap, flags}. Each is mounted as
a whole directory, /etc/quash/NAME: quash reloads changed files, and a file that is mounted by
subPath never changes.
*/}}
{{- define "quash.files" -}}
{{- $files := list -}}
{{- with .Values.upstream.apiKey -}}
{{- if .secretName -}}
{{- $files = append $files (dict "name" "api-key" "secret" .secretName "configMap" ""
      "flags" (dict "--upstream-api-key-file" .key)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.upstream.ca -}}
{{- $files = append $files (dict "name" "upstream-ca" "secret" "" "configMap" (printf "%s-upstream-ca" (include "quash.name" .))
      "flags" (dict "--upstream-ca-file" "ca.crt")) -}}
{{- end -}}
{{- with .Values.tls -}}
{{- if .secretName -}}
{{- $files = append $files (dict "name" "tls" "secret" .secretName "configMap" ""
      "flags" (dict "--tls-cert-file" "tls.crt" "--tls-key-file" "tls.key")) -}}
{{- end -}}
{{- with .clientCA -}}
{{- if or .secretName .configMapName -}}
{{- $files = append $files (dict "name" "client-ca" "secret" .secretName "configMap" .configMapName
      "flags" (dict "--tls-client-ca-file" .key)) -}}
{{- end -}}
{{- end -}}
{{- if get . "allowedCallers" -}}
{{- $files = append $files (dict "name" "allowed-callers" "secret" "" "configMap" (printf "%s-allowed-callers" (include "quash.name" $))
      "flags" (dict "--allowed-callers-file" "callers")) -}}
{{- else if .allowedCallersFrom.configMapName -}}
{{- $files = append $files (dict "name" "allowed-callers" "secret" "" "configMap" .allowedCallersFrom.configMapName
      "flags" (dict "--allowed-callers-file" .allowedCallersFrom.key)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}
