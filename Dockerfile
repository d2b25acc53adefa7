# The gateway in a small image: no compiler, no package manager's leavings, no root.
#
#   docker build -t dragoman .
#   docker run --rm -p 127.0.0.1:8080:8080 --env-file .env -v dragoman:/data dragoman
#
# Each build step is one that `make dev` takes as well, but for the editable install.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/dragoman
COPY requirements-all.txt ./
RUN /opt/dragoman/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-all.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/dragoman/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/dragoman/bin/python -m compileall -q /opt/dragoman/lib

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home dragoman
COPY --from=build /opt/dragoman /opt/dragoman
USER dragoman
# The database, the journal and the sealed secrets: losing this folder is losing the ledger.
VOLUME /data
# An address of its own network; which of the machine's it is published on, `docker run -p` says.
ENV PATH=/opt/dragoman/bin:$PATH HOST=0.0.0.0 PORT=8080 DRAGOMAN_HOME=/data PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/ready', timeout=2)"]
# In exec form the server is process 1 and gets SIGTERM itself: it drains, and exits with 0.
ENTRYPOINT ["dragoman"]
CMD ["serve"]
