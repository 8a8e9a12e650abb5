"""What can be done with plans, their tasks and deployments, one noun a file."""

from deployments.commands.plans import TaskDraft, create_plan, edit_plan
from deployments.commands.reports import report_deployment
from deployments.commands.running import TRANSITIONS, fail, finish_plans, reschedule, start, start_due_plans
from deployments.commands.tasks import STEPS, fail_task, finish_task, retry_task, skip_task

__all__ = [
    "STEPS",
    "TRANSITIONS",
    "TaskDraft",
    "create_plan",
    "edit_plan",
    "fail",
    "fail_task",
    "finish_plans",
    "finish_task",
    "report_deployment",
    "reschedule",
    "retry_task",
    "skip_task",
    "start",
    "start_due_plans",
]
