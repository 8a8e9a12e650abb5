"""Events as people tell them: each kind as the rest of a sentence that begins with a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Any

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.formats import localize
from django.utils.timezone import localtime

from releasemgmt.workflow.models import Aggregate, Event
from releasemgmt.workflow.queries import aggregates

#: kind → sentence; names in braces are the event's facts.
SENTENCES: Mapping[str, str] = {
    "comment": "commented",
    "workflow.refused": "was refused: {detail}",
    "accounts.groupmapping.accept": "agreed: members of {group} hold the role {role} in {team}",
    "accounts.groupmapping.create": "proposed that members of {group} hold the role {role} in {team}",
    "accounts.groupmapping.decline": "declined the mapping of {group}",
    "accounts.groupmapping.end": "ended the mapping of {group} and the roles that rested on it",
    "accounts.groupmapping.withdraw": "took back the mapping of {group}",
    "accounts.team.create": "made the team {name}",
    "accounts.team.edit": "renamed the team",
    "accounts.user.add_second_factor": "turned the second factor on",
    "accounts.user.bootstrap": "made this person an administrator at the command line",
    "accounts.user.create": "made the account",
    "accounts.user.create_token": "made the API token {name} ({prefix}…)",
    "accounts.user.deactivate": "ended the access",
    "accounts.user.decline_role": "declined the role {role} in {team}",
    "accounts.user.edit": "edited the account",
    "accounts.user.grant_role": "granted the role {role} in {team}",
    "accounts.user.link_identity": "linked the account at {provider}",
    "accounts.user.reactivate": "gave the access back",
    "accounts.user.remove_second_factor": "turned the second factor off",
    "accounts.user.renew_recovery_codes": "made new recovery codes",
    "accounts.user.request_role": "asked for the role {role} in {team}, to which another administrator agrees",
    "accounts.user.revoke_role": "took away the role {role} in {team}",
    "accounts.user.revoke_token": "revoked the API token {name} ({prefix}…)",
    "accounts.user.set_password": "set the password",
    "accounts.user.sign_in": "signed in",
    "accounts.user.unlink_identity": "unlinked the account at {provider}",
    "accounts.user.withdraw_role": "took back the request for the role {role} in {team}",
    "approvals.board.call": "called a meeting: {starts_at}",
    "approvals.board.cancel": "cancelled the meeting of {starts_at}",
    "approvals.board.close_agenda": "closed the agenda of the meeting of {starts_at}",
    "approvals.board.create": "made this board",
    "approvals.board.drop": "took meetings out, as the rule changed: {meetings}",
    "approvals.board.edit": "edited the board",
    "approvals.board.hold": "ended the meeting of {starts_at} and fixed its minutes",
    "approvals.board.note": "kept the minutes of the meeting of {starts_at}",
    "approvals.board.plan": "planned meetings: {meetings}",
    "approvals.board.set_members": "changed who sits on it",
    "approvals.board.talk": "noted what the meeting of {starts_at} says of {about}",
    "approvals.approvalpolicy.accept": "agreed to this version of the policy",
    "approvals.approvalpolicy.create": "proposed version {version} of the policy",
    "approvals.approvalpolicy.decline": "declined this version of the policy",
    "approvals.approvalpolicy.edit": "edited the policy",
    "approvals.approvalpolicy.withdraw": "took this version of the policy back",
    "approvals.changemodel.create": "wrote version {version} of this change model",
    "approvals.changerequest.answer": "answered the questions about its risk: {level}, a score of {score}",
    "approvals.changerequest.assess": "assessed it and asked for approval",
    "approvals.changerequest.authorize": "authorised it, as its round was approved",
    "approvals.changerequest.cancel": "cancelled it",
    "approvals.changerequest.close": "closed it",
    "approvals.changerequest.create": "drafted this change",
    "approvals.changerequest.edit": "edited it",
    "approvals.changerequest.finish": "finished it: {outcome}",
    "approvals.changerequest.implement": "began to implement it",
    "approvals.changerequest.miss_retrospective": "saw that its retrospective is overdue",
    "approvals.changerequest.owe_retrospective": "began the time in which it is looked back at",
    "approvals.changerequest.record": "recorded it: it was carried out already",
    "approvals.condition.meet": "met the condition “{text}”",
    "approvals.delegation.end": "ended the delegation to {to}",
    "approvals.delegation.give": "lets {to} vote in their place as {roles}",
    "approvals.round.advance": "opened step {step} of the round",
    "approvals.round.escalate": "escalated the round: it is overdue",
    "approvals.round.expire": "let the round expire: too few have voted",
    "approvals.round.lose_quorum": "saw that too few people are left to approve it",
    "approvals.round.remind": "reminded those who have not voted",
    "approvals.changerequest.join": "let {change} ride with it",
    "approvals.changerequest.leave": "took {change} out of it",
    "approvals.changerequest.rate": "rated its risk",
    "approvals.changerequest.reject": "sent it back, as its round was rejected",
    "approvals.changerequest.review": "wrote the review",
    "approvals.changerequest.revise": "took it back to draft",
    "approvals.changerequest.submit": "submitted it",
    "approvals.pre_approval.end": "ended the pre-approval: {reason}",
    "approvals.round.approve": "voted to {decision}, and round {round} is approved",
    "approvals.round.open": "asked for approval: round {round}",
    "approvals.round.reject": "voted to {decision}, and round {round} is rejected",
    "approvals.round.withdraw": "withdrew round {round}",
    "approvals.vote.cast": "voted to {decision} in round {round}",
    "approvals.vote.revoke": "took back a vote in round {round}",
    "catalog.component.create": "added the component {key}",
    "catalog.environment.create": "made the environment",
    "catalog.environment.edit": "edited the environment",
    "catalog.product.create": "made the product",
    "catalog.product.edit": "edited the product",
    "catalog.product_document.write": "wrote the {document} that releases inherit",
    "catalog.releasemodel.create": "made version {version} of the model",
    "catalog.releasemodel.edit": "edited the model",
    "deployments.call.accept": "called {endpoint}, which does “{title}”",
    "deployments.deployment.end": "ended a deployment to {environment}: {status}",
    "deployments.deployment.report": "reported a {kind} to {environment}: {status}",
    "deployments.deploymentplan.back_out": "began to back it out: the environment gets back what ran there before",
    "deployments.deploymentplan.cancel": "cancelled the plan",
    "deployments.deploymentplan.create": "planned it for {environment}, {planned_start}",
    "deployments.deploymentplan.edit": "edited the plan",
    "deployments.deploymentplan.edit_tasks": "edited the tasks",
    "deployments.deploymentplan.fail": "ended it as failed",
    "deployments.deploymentplan.hold_up": "could not start it though it is due",
    "deployments.deploymentplan.miss": "let it go: the latest start has passed",
    "deployments.deploymentplan.prepare": "said that it is prepared",
    "deployments.deploymentplan.reopen": "took it back to draft",
    "deployments.deploymentplan.reschedule": "took it up again",
    "deployments.deploymentplan.roll_back": "ended the way back: what ran there before runs there again",
    "deployments.deploymentplan.schedule": "scheduled it",
    "deployments.deploymentplan.start": "started it",
    "deployments.deploymentplan.succeed": "ended it: every task is done",
    "deployments.drift.find": "saw in {environment} what was not deployed there: {components}",
    "deployments.drift.resolve": "saw that in {environment} runs what was deployed there: {components}",
    "deployments.incident.confirm_cause": "confirmed what caused it: {cause}",
    "deployments.incident.confirm_fix": "confirmed what ended it: {fix}",
    "deployments.incident.create": "reported this incident: {kind} in {environment} since {started_at}",
    "deployments.incident.edit": "corrected it",
    "deployments.incident.record": "imported what was known of it at {recorded_at}",
    "deployments.incident.restore": "said that it is over since {restored_at}",
    "deployments.incident.withdraw": "said that it was recorded in error",
    "deployments.endpoint.create": "added the endpoint {endpoint}, {url}",
    "deployments.endpoint.edit": "edited the endpoint {endpoint}",
    "deployments.endpoint.renew_secret": "gave the endpoint {endpoint} another secret",
    "deployments.line.agree": "agreed that the line goes on for {scope}: {agreed} of {needed}",
    "deployments.line.resume": "agreed too, and the line goes on for {scope}",
    "deployments.line.stop": "stopped the line for {scope}",
    "deployments.override.approve": "approved override {override}: {windows} in {environment}",
    "deployments.override.decline": "declined override {override}: {windows} in {environment}",
    "deployments.override.edit": "changed what override {override} asks for",
    "deployments.override.request": "asked for override {override}: {windows} in {environment}",
    "deployments.override.use": "used override {override} to start {plan}: {use} of {uses}",
    "deployments.override.withdraw": "took override {override} back",
    "deployments.preparation.ask": "changed what is asked for before a plan for {tier} is ready",
    "deployments.preparation.look_up": "asked the service to look the artifacts up",
    "deployments.preparation.refute": "found that “{item}” does not hold: {evidence}",
    "deployments.preparation.unread": "could not look the artifacts up: {reason}",
    "deployments.preparation.verify": "verified “{item}”: {evidence}",
    "deployments.quarantine.add": "quarantined {rows} rows of an import",
    "deployments.quarantine.dismiss": "dismissed line {line} of {source}",
    "deployments.quarantine.repair": "repaired line {line} of {source}",
    "deployments.task.done": "did “{title}”",
    "deployments.task.fail": "failed at “{title}”",
    "deployments.task.hand_over": "handed “{title}” over to {to}",
    "deployments.task.retry": "tries “{title}” again",
    "deployments.task.skip": "skipped “{title}”",
    "deployments.window.approve": "put it in force",
    "deployments.window.create": "made it: {scope}",
    "deployments.window.decline": "declined it",
    "deployments.window.edit": "edited it",
    "deployments.window.end": "ended it",
    "deployments.window.withdraw": "took the request back",
    "notifications.delivery.give_up": "gave up sending a notice by {channel}",
    "releases.build.register": "registered a build of {component}: {status}",
    "releases.commit.send": "sent {new} new commits",
    "portal.backup.restore": "restored the backup of {made_at}: {rows} rows, {events} of them events",
    "releases.defect_link.rate": "rated {defect} otherwise",
    "releases.defect_link.set": "said of {defect}: {relation}, {disposition}",
    "releases.document.write": "wrote the {document}",
    "releases.exposure.step": "showed it to {percent} % of {audience} in {environment}",
    "releases.knowndefect.close": "closed it",
    "releases.knowndefect.create": "reported this defect, {severity}",
    "releases.knowndefect.edit": "edited it",
    "releases.knowndefect.fix": "fixed it",
    "releases.knowndefect.import": "imported {new} defects with the releases that fixed them",
    "releases.knowndefect.offer_workaround": "found a workaround",
    "releases.knowndefect.reject": "rejected it",
    "releases.knowndefect.reopen": "opened it again",
    "releases.knowndefect.verify": "verified the fix",
    "releases.release.accept": "accepted it",
    "releases.release.build": "marked it as built",
    "releases.release.cancel": "cancelled it",
    "releases.release.close": "closed it",
    "releases.release.create": "planned this release",
    "releases.release.deploy": "recorded that it is deployed to {environment}",
    "releases.release.edit": "edited it",
    "releases.release.import": "imported past releases",
    "releases.release.pass_integration": "passed it through integration test",
    "releases.release.rate": "rated its risk",
    "releases.release.review": "wrote the review",
    "releases.release.rework": "sent it back to work",
    "releases.release.roll_back": "recorded that it is rolled back",
    "releases.release.set_builds": "chose its builds",
    "releases.test_run.record": "recorded {suite} tests in {environment}: {passed} passed, {failed} failed",
}

#: Facts for machines and auditors: they stand on the event's own page.
FOR_THE_RECORD = {
    "attempt", "blockers", "bootstrap", "builds", "builds_of", "call", "changes", "channel", "code", "deployment",
    "digest", "errors", "external_id", "is_backout", "meeting", "minutes", "remediates", "report", "request", "round",
    "skipped", "stages", "subject", "task", "unauthorised", "vote", "when",
}  # fmt: skip

#: Values that are told by another word than their own.
WORDS = {
    "deploy": "deployment",
    "cab_member": "CAB member",
    "cab_chair": "CAB chair",
    "mfa": "second factor",
    "socialaccount": "identity provider",
}

DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
SHA = re.compile(r"\b([0-9a-f]{10})[0-9a-f]{30}\b")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)")
SHORT = 160


def record(event: Event) -> tuple[str, str]:
    """The address and the name of the record to whose stream the event belongs."""
    model, pk = subject(event)
    prefix = getattr(model, "NUMBER_PREFIX", "")
    shown = f"{prefix}-{pk}" if prefix else f"{model._meta.verbose_name} {pk}".capitalize()
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk]), shown


def subject(event: Event) -> tuple[type[Aggregate], str]:
    """The model and the key of the record to whose stream the event belongs."""
    name, _, pk = event.stream.partition(":")
    return _models()[name], pk


def stream(name: str) -> str:
    """The stream of the record that people call so: `REL-4` is `release:4`; a stream's own name stands for itself."""
    prefix, _, pk = name.strip().upper().partition("-")
    found = [key for key, model in _models().items() if getattr(model, "NUMBER_PREFIX", None) == prefix]
    return f"{found[0]}:{pk}" if found else name.strip().lower()


@cache
def _models() -> dict[str, type[Aggregate]]:
    return {str(model._meta.model_name): model for model in aggregates()}


def sentence(event: Event) -> str:
    """What happened, as the rest of a sentence whose subject is the actor."""
    pattern = SENTENCES.get(event.kind)
    if pattern is None:
        return event.kind.rpartition(".")[2].replace("_", " ")
    said = {name: plain(event.data.get(name)) for name in named(pattern)}
    if said.get("team") == "nothing":
        said["team"] = "every team"
    return pattern.format_map(said)


def named(pattern: str) -> set[str]:
    """The facts that a sentence says."""
    return {name for _text, name, _spec, _conversion in Formatter().parse(pattern) if name}


def facts(event: Event) -> list[tuple[str, str]]:
    """What the sentence leaves out and people want to know: changed fields, then reasons and the like."""
    changes = event.data.get("changes")
    told = named(SENTENCES.get(event.kind, "")) | FOR_THE_RECORD
    pairs = changes.items() if isinstance(changes, dict) else ()
    lines = [(name, change(*pair)) for name, pair in pairs if not name.endswith("_confirmed_by")]  # the actor did
    if len(lines) == 1 and lines[0][0] == event.data.get("document"):
        lines = [("text", lines[0][1])]
    if held := event.data.get("blockers"):
        lines.append(("because", " ".join(str(each.get("reason", "")) for each in held)))
    lines += [(name, plain(value)) for name, value in event.data.items() if name not in told and value]
    return [(name.replace("_", " "), text) for name, text in lines]


def change(old: Any, new: Any) -> str:
    """A change of a field in few words: the values where they are short, how much where they are texts."""
    if old in (None, "", [], {}):
        return plain(new)
    if any(isinstance(each, str) and (len(each) > SHORT or "\n" in each) for each in (old, new)):
        before, after = len(str(old or "").split()), len(str(new or "").split())
        return f"{after} words, {before} before"
    return f"{plain(old)} → {plain(new)}"


def plain(value: Any) -> str:
    """A value in few words: digests and commits cut to what people compare, instants in the reader's zone."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value) or "nothing"
    if isinstance(value, dict):
        return ", ".join(f"{str(name).replace('_', ' ')} {plain(item)}" for name, item in value.items()) or "nothing"
    if value is None or value == "":
        return "nothing"
    text = WORDS.get(str(value), str(value))
    if INSTANT.fullmatch(text) and (instant := parse_datetime(text)):
        return str(localize(localtime(instant)))
    if re.fullmatch(r"[a-z]+(_[a-z]+)+", text):
        return text.replace("_", " ")
    text = SHA.sub(r"\1", DIGEST.sub(r"\1…", text))
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"
