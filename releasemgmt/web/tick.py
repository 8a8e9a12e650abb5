"""What every background task is: a run with an id, which its log lines and its events carry."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task

from releasemgmt.workflow.commands import request_id


class Tick(Task[..., Any]):
    """A task whose run is to the kernel what a request is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        identifier = self.request.id or ""
        token = request_id.set(identifier)
        try:
            with structlog.contextvars.bound_contextvars(request_id=identifier, task=self.name):
                return self.run(*args, **kwargs)
        finally:
            request_id.reset(token)
