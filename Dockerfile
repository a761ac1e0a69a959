# The App with its plugin, and the worker of its delegated runs: see compose.yml.
#
#   docker build --tag fiftyone-ovsam .
#
# PyTorch as pip gives it by default can use NVIDIA's GPUs (run with `--gpus all`). A smaller image,
# for CPUs alone, takes it from the index of CPU builds that PyTorch's own page names:
#
#   docker build --build-arg TORCH_INDEX=ADDRESS --tag fiftyone-ovsam:cpu .
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm

ARG TORCH_INDEX=""

# What OpenCV and torch load, and nothing else.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libglib2.0-0 libgomp1 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home ovsam
WORKDIR /app

# torch first: it is the largest layer, and stays when only the code changes.
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt \
    ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} torch torchvision

COPY pyproject.toml README.md LICENSE __init__.py fiftyone.yml manifest.json ./
COPY operators operators
COPY ovsam_plugin ovsam_plugin
RUN pip install --no-cache-dir -c constraints.txt ".[heic,lancedb]"

# The database is a service of its own; the App listens to whoever may reach the container.
ENV FIFTYONE_PLUGINS_DIR=/app \
    FIFTYONE_DEFAULT_APP_ADDRESS=0.0.0.0 \
    FIFTYONE_DATABASE_VALIDATION=false \
    FIFTYONE_DO_NOT_TRACK=true \
    FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS=true \
    OVSAM_CACHE_DIR=/home/ovsam/cache

# So that what is kept there belongs to the user also where it is a volume.
RUN mkdir -p /home/ovsam/cache /home/ovsam/fiftyone && chown -R ovsam /home/ovsam
USER ovsam
EXPOSE 5151
# As Ctrl-C: a process that is alone in a container does not hear the signal that is sent otherwise.
STOPSIGNAL SIGINT
CMD ["sh", "-c", "ovsam zoo && exec ovsam app open"]
