{{/* The ports for callers. appProtocol names the protocol for meshes and proxies. */}}
{{- define "quash.callerPorts" -}}
- name: grpc
  port: {{ .Values.ports.grpc }}
  targetPort: grpc
  appProtocol: {{ ternary "https" "kubernetes.io/h2c" (not (empty .Values.tls.secretName)) }}
- name: http
  port: {{ .Values.ports.http }}
  targetPort: http
  appProtocol: {{ ternary "https" "http" (not (empty .Values.tls.secretName)) }}
{{- end -}}
