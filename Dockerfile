# One image for the service, its cron jobs and its deploy; compose.yaml gives each its command.
FROM python:3.11-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv/checkout
# To include traces: docker compose build --build-arg REQUIREMENTS=requirements-traces.txt
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-traces.txt ./
RUN pip install --no-cache-dir --requirement $REQUIREMENTS \
    && useradd --system --no-create-home --shell /usr/sbin/nologin checkout
COPY gunicorn.conf.py ./
COPY cron cron
COPY migrations migrations
COPY service service
COPY sql sql
USER checkout
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "gunicorn.conf.py", "service.app:create_app()"]
