"""The Celery application; its tasks are the ticks in settings.CELERY_BEAT_SCHEDULE and carry no truth."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "releasemgmt.settings")

app = Celery("releasemgmt", task_cls="releasemgmt.web.tick:Tick")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
