# The build platform cross-compiles, so that no emulator is needed.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /quash ./cmd/quash

# The image contains only the static binary and the system's CA certificates: no shell, no
# package manager, no root user. quash serve writes no files and needs no capabilities:
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges quash
FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.source="https://github.com/quashdev/quash" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /quash /quash
USER 65532:65532
# Without this limit, one client that does not read makes grpc-go queue 430 MB of responses:
# see docs/decisions.md.
ENV GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT=100
EXPOSE 9090 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s CMD ["/quash", "healthcheck"]
ENTRYPOINT ["/quash"]
CMD ["serve"]
