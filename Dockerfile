# The gateway alone; its PostgreSQL is another service (see docker-compose.yml).
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/app
WORKDIR /app

# Dependencies first: this layer is rebuilt only when the lock changes.
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

COPY gateway gateway
COPY schema schema
COPY resolvers resolvers
RUN python -m compileall -q gateway schema resolvers \
    && useradd --system --no-create-home --home-dir /nonexistent gateway
USER gateway

ENV GATEWAY_HOST=0.0.0.0 GATEWAY_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["sh", "-c", "python -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1])' http://127.0.0.1:$GATEWAY_PORT/readyz"]
STOPSIGNAL SIGTERM
CMD ["sh", "-c", "python -m gateway migrate && exec python -m gateway serve"]
