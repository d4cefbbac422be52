# The API for one host (docker-compose.yml): `python app.py` with a Redis; the runners are separate containers.
#
#   docker build -f api.Dockerfile -t will-it-compile-api .
#
# It writes no file, so its root can be read-only, and it needs no right but to listen. AWS does not use this image:
# Lambda runs app.py from a zip.

FROM debian:trixie-slim
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null \
    && rm -rf /var/lib/apt/lists/*
# `bin/setup test` downloads the wheels; where all of them are there, this needs no network.
COPY requirements.txt requirements-runner.txt requirements-local.txt .setup/runner-wheels* /tmp/python/
RUN set -eu; \
    python3 -m venv /opt/venv; \
    install() { \
        /opt/venv/bin/pip install -q --no-cache-dir --disable-pip-version-check --only-binary :all: \
            -r /tmp/python/requirements-local.txt "$@"; \
    }; \
    PIP_NO_INDEX=1 PIP_FIND_LINKS=/tmp/python install 2>/dev/null || install
WORKDIR /app
COPY .chalice/config.json .chalice/config.json
COPY chalicelib chalicelib
COPY app.py .
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    REDIS_ENABLED=true
# The user "nobody", who can write no file here.
USER 65534:65534
EXPOSE 8000
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "8000"]
