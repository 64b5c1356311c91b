# syntax=docker/dockerfile:1

# ── build: only cargo and the C compiler of the slim image; aws-lc-rs needs no more ──
FROM rust:1.95-slim-bookworm AS builder
WORKDIR /build
COPY . .
# The caches outlive a build, so that a change of the source does not build every dependency again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin tidegate \
    && cp target/release/tidegate /tidegate

# ── run: the C library, certificates of authorities, and a user without rights; no shell ──
FROM gcr.io/distroless/cc-debian12:nonroot

ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="tidegate" \
      org.opencontainers.image.description="A traffic-splitting edge proxy with release management built in" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

COPY --from=builder /tidegate /tidegate

# 65532 is the image's nonroot; as a number it satisfies Kubernetes' runAsNonRoot.
USER 65532:65532
# Plain, TLS, admin: unprivileged ports, as the reference configuration has them.
EXPOSE 8080 8443 9900

# Draining begins with SIGTERM; give it longer than `shutdown.delay` and `shutdown.timeout` together.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/tidegate", "healthcheck"]

# Mount the directory, not the file: a file mounted by itself never shows its replacement.
ENTRYPOINT ["/tidegate"]
CMD ["run", "--config", "/etc/tidegate/tidegate.toml"]
