"""What can be done with plans, their tasks and deployments, one noun a file."""

from deployments.commands.backouts import back_out
from deployments.commands.calls import call_webhooks, report_call
from deployments.commands.endpoints import create_endpoint, edit_endpoint, renew_secret
from deployments.commands.incidents import correct_incident, record_incident, report_incident, withdraw_incident
from deployments.commands.lookups import ask_to_look_up, look_up_artifacts
from deployments.commands.observations import observe
from deployments.commands.overrides import (
    DECISIONS,
    approve_override,
    decline_override,
    edit_override,
    request_override,
    withdraw_override,
)
from deployments.commands.plans import TaskDraft, create_plan, edit_plan
from deployments.commands.preparation import ask_for, verify
from deployments.commands.reports import ENDS, end_deployment, report_deployment
from deployments.commands.running import TRANSITIONS, fail, finish_plans, reschedule, start, start_due_plans
from deployments.commands.stops import agree_to_resume, stop_line
from deployments.commands.tasks import STEPS, fail_task, finish_task, hand_over_task, retry_task, skip_task
from deployments.commands.windows import (
    WINDOW_TRANSITIONS,
    create_window,
    edit_window,
    lay_out_windows,
    preview_window,
)

__all__ = [
    "DECISIONS",
    "ENDS",
    "STEPS",
    "TRANSITIONS",
    "TaskDraft",
    "WINDOW_TRANSITIONS",
    "agree_to_resume",
    "approve_override",
    "ask_for",
    "ask_to_look_up",
    "correct_incident",
    "back_out",
    "call_webhooks",
    "create_endpoint",
    "create_plan",
    "create_window",
    "decline_override",
    "edit_endpoint",
    "edit_override",
    "edit_plan",
    "edit_window",
    "end_deployment",
    "fail",
    "fail_task",
    "finish_plans",
    "finish_task",
    "hand_over_task",
    "lay_out_windows",
    "look_up_artifacts",
    "observe",
    "preview_window",
    "record_incident",
    "renew_secret",
    "report_call",
    "report_deployment",
    "report_incident",
    "request_override",
    "reschedule",
    "retry_task",
    "skip_task",
    "start",
    "start_due_plans",
    "stop_line",
    "verify",
    "withdraw_incident",
    "withdraw_override",
]
