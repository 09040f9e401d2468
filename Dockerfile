# The service without a database of its own: set DATABASE_URL and LIANXIN_SECRET_KEY.
# Base images by name and not by digest: pin them in your registry.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /srv/lianxin
# The packages alone first: they change rarely, the layer is kept.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project
COPY README.md alembic.ini ./
COPY app app
COPY migrations migrations
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable

FROM python:${PYTHON}
RUN groupadd --system --gid 10001 lianxin \
    && useradd --system --uid 10001 --gid lianxin --home-dir /var/lib/lianxin lianxin \
    && install -d -m 0700 -o lianxin -g lianxin /var/lib/lianxin
COPY --from=build /srv/lianxin/.venv /srv/lianxin/.venv
ENV PATH=/srv/lianxin/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LIANXIN_PROFILE=production \
    LIANXIN_DATA=/var/lib/lianxin \
    LIANXIN_WEB__HOST=0.0.0.0 \
    LIANXIN_WEB__PORT=8000 \
    LIANXIN_WEB__DOCS=false
USER 10001:10001
WORKDIR /var/lib/lianxin
VOLUME /var/lib/lianxin
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["lianxin"]
CMD ["serve", "--no-worker"]
