# The build platform cross-compiles, so that no emulator is needed.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /quash ./cmd/quash

# Nothing but the binary, which is static, and the authorities that vouch for
# SlashID. No shell, no package manager, no root. Serving writes no file and needs no
# capability:
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges quash
FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.source="https://github.com/quashdev/quash" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /quash /quash
USER 65532:65532
# One client that does not read cannot make grpc-go queue 430 MB: docs/decisions.md.
ENV GRPC_GO_EXPERIMENTAL_CONTROL_BUFFER_THROTTLE_LIMIT=100
EXPOSE 9090 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=2s CMD ["/quash", "healthcheck"]
ENTRYPOINT ["/quash"]
CMD ["serve"]
