# Botengang for the scaled mode: one image, three uses (serve, work, migrate). compose.yaml shows them together.
FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.lock ./
RUN /app/.venv/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY templates templates
COPY channels channels
COPY workers workers
COPY gateway gateway
RUN /app/.venv/bin/pip install --no-deps --no-index --no-build-isolation .

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Botengang" org.opencontainers.image.licenses="EUPL-1.2"
RUN useradd --system --uid 10001 --home-dir /var/lib/botengang --create-home botengang
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_DATA_DIR=/var/lib/botengang GATEWAY_LISTEN=0.0.0.0:8080 GATEWAY_LOG_JSON=true
USER 10001
WORKDIR /var/lib/botengang
VOLUME /var/lib/botengang
EXPOSE 8080
# For `serve`; the other uses switch it off where they are started.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=2)"]
ENTRYPOINT ["botengang"]
CMD ["serve"]
