# The API for one host (docker-compose.yml): `chalice local` over a Redis; the runners are containers of their own.
#
#   docker build -f api.Dockerfile -t will-it-compile-api .
#
# It writes nowhere, so that its root can be read-only, and needs no right but to listen. On AWS there is no such
# image: Lambda runs app.py from a zip.

FROM debian:trixie-slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null \
    && rm -rf /var/lib/apt/lists/*
# The wheels are there when `bin/setup test` has downloaded them: where all are, this needs no network.
COPY requirements.txt requirements-runner.txt requirements-local.txt .setup/runner-wheels* /tmp/python/
RUN set -eu; \
    python3 -m venv /opt/venv; \
    install() { \
        /opt/venv/bin/pip install -q --no-cache-dir --disable-pip-version-check --only-binary :all: \
            --require-hashes -r /tmp/python/requirements-local.txt "$@"; \
    }; \
    PIP_NO_INDEX=1 PIP_FIND_LINKS=/tmp/python install 2>/dev/null || install
WORKDIR /app
COPY .chalice/config.json .chalice/config.json
COPY chalicelib chalicelib
COPY app.py .
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    REDIS_ENABLED=true
# Nobody's: no file here is writable for it.
USER 65534:65534
EXPOSE 8000
ENTRYPOINT ["chalice", "local", "--host", "0.0.0.0", "--port", "8000", "--no-autoreload"]
