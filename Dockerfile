# The hotspot monitor. `hotspot worker` unless another command is given.
FROM python:3.11-slim

# Compiled kernels, the worker's own tables and calibrations go below this directory, which is a volume: the rest of
# the image is not writable for the user that runs the worker.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HOME=/var/lib/hotspot \
    NUMBA_CACHE_DIR=/var/lib/hotspot/kernels

RUN groupadd --system --gid 10001 hotspot \
    && useradd --system --uid 10001 --gid hotspot --home-dir /var/lib/hotspot --shell /usr/sbin/nologin hotspot \
    && install -d -o hotspot -g hotspot /var/lib/hotspot

WORKDIR /opt/hotspot

# Dependencies first: this layer is built again only when the lock changes. Wheels only: the image has no compiler.
COPY requirements.lock ./
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY processors processors
COPY alerts alerts
COPY streams streams
COPY simulation simulation
COPY paper paper
COPY evaluation evaluation
COPY cli cli
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

COPY regions /etc/hotspot/regions

USER hotspot
WORKDIR /var/lib/hotspot
VOLUME ["/var/lib/hotspot"]
EXPOSE 9108
ENTRYPOINT ["hotspot"]
CMD ["worker"]
