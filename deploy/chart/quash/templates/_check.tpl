{{/*
What is wrong with the values that no schema can say. All of it is told at once, and before
anything reaches the cluster: quash would refuse most of it too, but only there.
*/}}
{{- define "quash.check" -}}
{{- $problems := list -}}
{{- with .Values.image -}}
{{- if not .repository -}}
{{- $problems = append $problems "image.repository is missing: name where you pushed the image that `make image` builds" -}}
{{- end -}}
{{- if not (or .tag .digest) -}}
{{- $problems = append $problems "image.tag is missing, and so is image.digest: name the version to run" -}}
{{- end -}}
{{- end -}}

{{- $url := .Values.upstream.url -}}
{{- if not $url -}}
{{- $problems = append $problems "upstream.url is missing: give SlashID's address, for instance https://api.slashid.com" -}}
{{- else if and (hasPrefix "http:" $url) (not .Values.insecure) (not (regexMatch "^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/|$)" $url)) -}}
{{- $problems = append $problems "upstream.url would send tokens in plaintext: use https://, or accept it with insecure: true" -}}
{{- end -}}

{{- $tls := .Values.tls -}}
{{- $clientCA := or $tls.clientCA.secretName $tls.clientCA.configMapName -}}
{{- $callers := get $tls "allowedCallers" -}}
{{- $listed := or $callers $tls.allowedCallersFrom.configMapName -}}
{{- if not (or $tls.secretName .Values.insecure) -}}
{{- $problems = append $problems "tls.secretName is missing: quash would serve plaintext. Name a Secret with a certificate, or accept plaintext with insecure: true" -}}
{{- end -}}
{{- if and $clientCA (not $tls.secretName) -}}
{{- $problems = append $problems "tls.clientCA needs tls.secretName: callers show a certificate only to one who has one" -}}
{{- end -}}
{{- if and $tls.clientCA.secretName $tls.clientCA.configMapName -}}
{{- $problems = append $problems "tls.clientCA names a Secret and a ConfigMap: the authorities are in one of them" -}}
{{- end -}}
{{- if and $listed (not $clientCA) -}}
{{- $problems = append $problems "tls.allowedCallers needs tls.clientCA: only a certificate says who calls" -}}
{{- end -}}
{{- if and $callers $tls.allowedCallersFrom.configMapName -}}
{{- $problems = append $problems "tls.allowedCallers and tls.allowedCallersFrom are two lists: give one" -}}
{{- end -}}

{{- $own := list "--docs" "--cors-allowed-origin" "--insecure" "--tls-min-version" "--upstream-api-key-file" "--upstream-ca-file" "--tls-cert-file" "--tls-key-file" "--tls-client-ca-file" "--allowed-callers-file" -}}
{{- range include "quash.args" . | fromYamlArray -}}
{{- $own = append $own (regexFind "^[^=]*" .) -}}
{{- end -}}
{{- range .Values.extraArgs -}}
{{- $flag := regexFind "^[^=]*" . -}}
{{- if or (has $flag $own) (has (printf "--%s" (trimPrefix "--no-" $flag)) $own) -}}
{{- $problems = append $problems (printf "extraArgs: %s has a value of its own in this chart" $flag) -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if hasPrefix "QUASH_" .name -}}
{{- $problems = append $problems (printf "extraEnv: %s is a flag of quash's: use its value in this chart, or extraArgs" .name) -}}
{{- end -}}
{{- end -}}

{{- range $label := keys .Values.podLabels -}}
{{- if hasKey (include "quash.podLabels" $ | fromYaml) $label -}}
{{- $problems = append $problems (printf "podLabels: %s is the chart's own, by which Services find the pods" $label) -}}
{{- end -}}
{{- end -}}

{{- $memory := dig "limits" "memory" "" .Values.resources -}}
{{- if and $memory (not (include "quash.bytes" $memory)) -}}
{{- $problems = append $problems (printf "resources.limits.memory must be a whole number of bytes, Ki, Mi, Gi, k, M or G, and is %v" $memory) -}}
{{- else if $memory -}}
{{- /* Over gRPC alone, which is the cheaper endpoint: see docs/scaling.md. */ -}}
{{- $least := add 67108864 (mul .Values.maxInFlight 51200) -}}
{{- if lt (include "quash.bytes" $memory | int64) $least -}}
{{- $problems = append $problems (printf "resources.limits.memory, %v, has no room for maxInFlight: %d calls need %dMi, or over REST twice that" $memory (int .Values.maxInFlight) (div $least 1048576)) -}}
{{- end -}}
{{- end -}}

{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $problems = append $problems "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (or .cpuPercent .inFlightPercent) -}}
{{- $problems = append $problems "autoscaling has nothing to go by: set cpuPercent or inFlightPercent" -}}
{{- end -}}
{{- if and .cpuPercent (not (dig "requests" "cpu" "" $.Values.resources)) -}}
{{- $problems = append $problems "autoscaling.cpuPercent is a share of resources.requests.cpu, which is missing" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if .Values.serviceMonitor.enabled -}}
{{- if and $tls.secretName (not .Values.serviceMonitor.tlsConfig) -}}
{{- $problems = append $problems "serviceMonitor.tlsConfig is missing: metrics are served with tls.secretName, so say who vouches for it and as which serverName" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.monitoring) -}}
{{- $problems = append $problems "networkPolicy.monitoring is empty: Prometheus could not reach the metrics that serviceMonitor asks it for" -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
