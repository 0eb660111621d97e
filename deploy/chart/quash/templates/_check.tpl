{{/*
Problems with the values that a JSON schema cannot express. All are reported together, before
anything reaches the cluster. quash would reject most of them too, but only at startup.
*/}}
{{- define "quash.check" -}}
{{- $problems := list -}}
{{- with .Values.image -}}
{{- if not .repository -}}
{{- $problems = append $problems "image.repository is missing: set it to where you pushed the image that `make image` builds" -}}
{{- end -}}
{{- if not (or .tag .digest) -}}
{{- $problems = append $problems "image.tag and image.digest are missing: set one of them to the version to run" -}}
{{- end -}}
{{- end -}}

{{- $url := .Values.upstream.url -}}
{{- if not $url -}}
{{- $problems = append $problems "upstream.url is missing: set it to SlashID's base URL, for example https://api.slashid.com" -}}
{{- else if and (hasPrefix "http:" $url) (not .Values.insecure) (not (regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/|$)" $url)) -}}
{{- $problems = append $problems "upstream.url would send tokens in plaintext: use https://, or allow it with insecure: true" -}}
{{- end -}}

{{- $tls := .Values.tls -}}
{{- $clientCA := or $tls.clientCA.secretName $tls.clientCA.configMapName -}}
{{- $callers := get $tls "allowedCallers" -}}
{{- $listed := or $callers $tls.allowedCallersFrom.configMapName -}}
{{- if not (or $tls.secretName .Values.insecure) -}}
{{- $problems = append $problems "tls.secretName is missing: quash would serve plaintext. Set it to a Secret with a certificate, or allow plaintext with insecure: true" -}}
{{- end -}}
{{- if and $clientCA (not $tls.secretName) -}}
{{- $problems = append $problems "tls.clientCA needs tls.secretName: client certificates require TLS" -}}
{{- end -}}
{{- if and $tls.clientCA.secretName $tls.clientCA.configMapName -}}
{{- $problems = append $problems "tls.clientCA.secretName and tls.clientCA.configMapName are both set: set only one" -}}
{{- end -}}
{{- if and $listed (not $clientCA) -}}
{{- $problems = append $problems "tls.allowedCallers needs tls.clientCA: callers are identified by their client certificates" -}}
{{- end -}}
{{- if and $callers $tls.allowedCallersFrom.configMapName -}}
{{- $problems = append $problems "tls.allowedCallers and tls.allowedCallersFrom are both set: set only one" -}}
{{- end -}}

{{- $own := list "--docs" "--cors-allowed-origin" "--insecure" "--tls-min-version" "--upstream-api-key-file" "--upstream-ca-file" "--tls-cert-file" "--tls-key-file" "--tls-client-ca-file" "--allowed-callers-file" -}}
{{- range include "quash.args" . | fromYamlArray -}}
{{- $own = append $own (regexFind "^[^=]*" .) -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- $flag := regexFind "^[^=]*" . -}}
{{- if or (has $flag $own) (has (printf "--%s" (trimPrefix "--no-" $flag)) $own) -}}
{{- $problems = append $problems (printf "extraArgs: the chart sets %s itself: change the chart's value for it" $flag) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "QUASH_" .name -}}
{{- $problems = append $problems (printf "extraEnv: %s sets a flag of quash: use the chart's value for it, or extraArgs" .name) -}}
{{- end -}}
{{- end -}}

{{- range $label := keys .Values.podLabels -}}
{{- if hasKey (include "quash.podLabels" $ | fromYaml) $label -}}
{{- $problems = append $problems (printf "podLabels: %s is set by the chart: use another label" $label) -}}
{{- end -}}
{{- end -}}

{{- $memory := dig "limits" "memory" "" .Values.resources -}}
{{- if and $memory (not (include "quash.bytes" $memory)) -}}
{{- $problems = append $problems (printf "resources.limits.memory must be a whole number of bytes, Ki, Mi, Gi, k, M or G, not %v" $memory) -}}
{{- else if $memory -}}
{{- /* The need of calls over gRPC, which use less memory than calls over REST: see docs/scaling.md. */ -}}
{{- $minimum := add 67108864 (mul .Values.maxInFlight 51200) -}}
{{- if lt (include "quash.bytes" $memory | int64) $minimum -}}
{{- $problems = append $problems (printf "resources.limits.memory, %v, is too low for maxInFlight: %d calls need %dMi, or twice that over REST" $memory (int .Values.maxInFlight) (div $minimum 1048576)) -}}
{{- end -}}
{{- end -}}

{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $problems = append $problems "autoscaling.minReplicas is greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (or .cpuPercent .inFlightPercent) -}}
{{- $problems = append $problems "autoscaling has no target: set autoscaling.cpuPercent or autoscaling.inFlightPercent" -}}
{{- end -}}
{{- if and .cpuPercent (not (dig "requests" "cpu" "" $.Values.resources)) -}}
{{- $problems = append $problems "autoscaling.cpuPercent needs resources.requests.cpu: it is a percentage of the request" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if .Values.serviceMonitor.enabled -}}
{{- if and $tls.secretName (not .Values.serviceMonitor.tlsConfig) -}}
{{- $problems = append $problems "serviceMonitor.tlsConfig is missing: metrics are served over TLS. Set the CA of the certificate in tls.secretName, and a serverName" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.monitoring) -}}
{{- $problems = append $problems "networkPolicy.monitoring is empty: the policy would block the scrapes of serviceMonitor. Add the pods of Prometheus" -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
