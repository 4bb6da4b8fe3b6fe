# A Debian (or any other) image with Python 3.11 or later and its venv module; both stages start from it.
ARG BASE=docker.io/library/python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build

# Where an index of one's own is needed, its pip.conf comes as a secret, and so stays out of the image.
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_HASHES=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /source
COPY locks locks
# Exactly the packages of the locks, checked by their hashes.
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    python3 -m venv /build && \
    python3 -m venv --without-pip /opt/ci-build-exporter && \
    /build/bin/python -m pip install --requirement locks/build.txt && \
    /build/bin/python -m pip --python /opt/ci-build-exporter/bin/python \
      install --no-compile --requirement locks/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
# The only byte code is written here. It bears no time stamps, so that two builds are alike.
RUN PIP_REQUIRE_HASHES=0 /build/bin/python -m pip wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheels . && \
    PIP_REQUIRE_HASHES=0 /build/bin/python -m pip --python /opt/ci-build-exporter/bin/python \
      install --no-compile --no-deps --no-index --find-links /wheels ci-build-exporter && \
    /opt/ci-build-exporter/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/ci-build-exporter/lib

FROM ${BASE}

COPY --from=build /opt/ci-build-exporter /opt/ci-build-exporter

ENV PATH=/opt/ci-build-exporter/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CI_BUILD_EXPORTER_CONFIG_FILE=/etc/ci-build-exporter/config.yaml

USER 65532:65532
WORKDIR /
EXPOSE 10065
# Over TLS it is enough that the connection is taken, and ended since it is plain: whose certificate to trust is not known here.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import http.client as h\nc = h.HTTPConnection('127.0.0.1', 10065, timeout=4); c.connect()\ntry: c.request('GET', '/-/healthy'); exit(c.getresponse().status != 200)\nexcept (h.BadStatusLine, ConnectionError): pass"]
ENTRYPOINT ["ci-build-exporter"]
CMD ["serve"]

# Last, since they change most often.
ARG VERSION=""
ARG REVISION=""
ARG SOURCE="https://github.com/ci-build-exporter/ci-build-exporter"
ENV CI_BUILD_EXPORTER_REVISION=${REVISION}
LABEL org.opencontainers.image.title="ci-build-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the builds of Northflank and GitLab" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/tree/main/docs"
