"""Two teams with one of each record, whose every text holds the team's own canary; built by commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from typing import Any

from django.utils import timezone

from approvals.commands import assess, create_board, create_change, create_change_model, open_round, submit, vote
from approvals.models import (
    AgendaItem,
    ApprovalPolicy,
    ApprovalRound,
    Board,
    ChangeModel,
    ChangeRequest,
    Condition,
    Meeting,
    Vote,
)
from deployments.commands import (
    TaskDraft,
    ask_for,
    ask_to_look_up,
    create_endpoint,
    create_plan,
    create_window,
    fail_task,
    report_deployment,
    report_incident,
    request_override,
    start,
    stop_line,
)
from deployments.models import Deployment, DeploymentPlan, DeploymentTask, Incident, LineStop, Window, WindowOverride
from releasemgmt.accounts.commands import create_token, grant_role, map_group
from releasemgmt.accounts.models import ApiToken, GroupMapping, Role, User
from releasemgmt.catalog.commands import write_product_document
from releasemgmt.catalog.models import ReleaseModel
from releasemgmt.notifications.fanout import drain
from releasemgmt.notifications.models import Delivery
from releasemgmt.releases.commands import (
    create_defect,
    create_release,
    edit_release,
    expose,
    link_defect,
    record_test_run,
    register_build,
    send_commits,
    set_builds,
    write_document,
)
from releasemgmt.releases.models import Build, Document, KnownDefect, Release
from releasemgmt.workflow.commands import comment, edit, fire, refuse
from releasemgmt.workflow.errors import NotPermitted
from releasemgmt.workflow.models import Event
from tests.deployments.quarantined import quarantined_row
from tests.factories import EnvironmentFactory, ProductFactory, TeamFactory, someone

HOUR, SECRET = timedelta(hours=1), "whsec_" + "A" * 40


@dataclass
class Side:
    """A team, its people (one a role, a manager who works, one who signs), and one of each record in mid-life."""

    canary: str
    mapping: GroupMapping = field(init=False)
    now: datetime = field(default_factory=timezone.now)

    def __post_init__(self) -> None:
        text = f"{self.canary} text"
        self.team = TeamFactory(key=f"{self.canary}-team", name=text)
        self.product = ProductFactory(
            key=f"{self.canary}-shop", name=text, team=self.team, components=[f"{self.canary}-app"]
        )
        repository = {"repository_url": f"https://{self.canary}.test"}
        edit(self.product, actor=self.someone("administrator"), changes=repository)
        self.people: dict[str, User] = {
            role: self.someone(role, username=f"{self.canary}-{role}") for role in Role.values
        }
        self.manager = self.someone("release_manager", username=f"{self.canary}-foreman")
        self.signer = self.someone("release_manager", username=f"{self.canary}-signer")
        self.token = self.token_of(self.signer)
        self.component = self.product.components.get()
        self.production = EnvironmentFactory(key="production")
        self.release = self.tested(f"{self.canary}-1")
        write_product_document(self.product, kind="impact", body=text, actor=self.author)
        self.shipped = self.deployed(f"{self.canary}-0")
        self.defect = self.known_defect()
        self.change = self.change_request()
        self.recipe = self.change_model()
        hook: dict[str, Any] = {"key": f"{self.canary}-hook", "url": f"https://{self.canary}.test/hook"}
        self.endpoint = create_endpoint(self.product, **hook, secret=SECRET, actor=self.people["administrator"])
        self.plan = self.running_plan()
        self.board = self.weekly_board()
        self.round = self.round_with_a_vote()
        self.meeting = self.next_meeting()
        self.window = self.far_freeze()
        self.override = self.asked_override()
        self.stop = self.stopped_line()
        self.incident = self.open_incident()
        self.quarantined = quarantined_row(self.product, self.text, self.people["administrator"], self.now)
        for record in (
            self.release,
            self.defect,
            self.change,
            self.recipe,
            self.plan,
            self.product,
            self.team,
            self.board,
            self.window,
            self.incident,
        ):
            comment(record, body=text, actor=self.people["contributor"])
        drain(now=self.now)

    def someone(self, *roles: str, **fields: Any) -> User:
        email = {"email": f"{fields['username']}@example.org"} if "username" in fields else {}
        return someone(*roles, team=self.team, first_name=f"{self.canary} person", **email, **fields)

    def mapped(self, administrator: User) -> GroupMapping:
        """A group whose members are to hold a role here; a second administrator has not agreed yet."""
        facts: dict[str, Any] = {"group": f"{self.canary}-group", "role": "contributor", "reason": self.text}
        return map_group(**facts, team=self.team, actor=administrator, now=self.now)

    def token_of(self, user: User) -> ApiToken:
        facts: dict[str, Any] = {"name": self.canary, "scopes": ["write"], "expires_at": self.now + HOUR}
        return create_token(user, **facts, actor=user, now=self.now)[0]

    @property
    def author(self) -> User:
        return self.people["contributor"]

    @property
    def text(self) -> str:
        return f"{self.canary} text"

    def build(self, version: str) -> Build:
        sha = sha256(version.encode()).hexdigest()
        at = {"authored_at": self.now, "committed_at": self.now}
        commit = {"sha": sha[:40], "parents": [], "author": f"{self.canary}@else.test", "subject": self.text, **at}
        send_commits(
            self.product, commits=[commit | {"work_items": [f"{self.canary}-7"]}], actor=self.author, now=self.now
        )
        return register_build(
            product=self.product,
            component=self.component,
            commit_sha=sha[:40],
            digest=f"sha256:{sha}",
            artifact_uri=f"oci://{self.canary}.test/app:{version}",
            ci_url=f"https://{self.canary}.test/ci",
            built_at=self.now,
            actor=self.author,
            now=self.now,
        )[0]

    def tested(self, version: str) -> Release:
        """A release that passed integration, with its documents written and a run that failed."""
        facts: dict[str, Any] = {
            "title": self.text,
            "description": self.text,
            "train": self.canary,
            "components": [self.component],
        }
        release, _ = create_release(product=self.product, version=version, actor=self.author, now=self.now, **facts)
        build = self.build(version)
        set_builds(release, builds=[build], actor=self.author, now=self.now)
        for kind in Document.Kind.values:
            write_document(release, kind=kind, body=self.text, actor=self.author, now=self.now)
        counts: dict[str, Any] = {"passed": 1, "failed": 1, "errors": 0, "skipped": 0, "failures": [self.text]}
        times: dict[str, Any] = {"started_at": self.now - HOUR, "finished_at": self.now}
        where = EnvironmentFactory(key="test")
        record_test_run(
            builds=[build], environment=where, suite="smoke", **counts, **times, actor=self.author, now=self.now
        )
        fire(release, "build", actor=self.manager, now=self.now)
        return fire(release, "pass_integration", actor=self.manager, now=self.now)

    def deployed(self, version: str) -> Release:
        """A release that runs in production, as the pipeline reported, and that its users see."""
        release = fire(self.tested(version), "accept", actor=self.manager, now=self.now)
        self.deployment: Deployment = report_deployment(
            release=release,
            environment=self.production,
            status="succeeded",
            started_at=self.now - HOUR,
            finished_at=self.now,
            external_id=self.canary,
            actor=self.people["service"],
            now=self.now,
        )[0]
        step: dict[str, Any] = {"audience": self.canary, "percent": 50, "flag_key": self.canary}
        release = Release.objects.get(pk=release.pk)
        expose(release, environment=self.production, **step, actor=self.people["deployer"], now=self.now)
        return release

    def known_defect(self) -> KnownDefect:
        texts = dict.fromkeys(("title", "symptom", "cause", "workaround", "external_reference"), self.text)
        facts: dict[str, Any] = {"component": self.component, "severity": "major", **texts}
        defect = create_defect(product=self.product, actor=self.people["deployer"], now=self.now, **facts)
        accepted: dict[str, Any] = {"disposition": "accepted", "reason": self.text, "accepted_until": self.now + HOUR}
        link_defect(self.release, defect=defect, actor=self.manager, now=self.now, **accepted)
        return defect

    def change_request(self) -> ChangeRequest:
        """A change whose round is open."""
        names = ("title", "justification", "impact", "implementation_plan", "test_plan", "backout_plan")
        facts: dict[str, Any] = {
            **dict.fromkeys(names, self.text),
            "incident_reference": f"https://{self.canary}.test/incidents/1",
            "components": [self.component],
            "environments": [self.production],
            "implementer": self.people["deployer"],
        }
        times: dict[str, Any] = {"planned_start": self.now, "planned_end": self.now + HOUR}
        change = create_change(product=self.product, actor=self.author, now=self.now, **facts, **times)
        submit(change, actor=self.author, now=self.now)
        return assess(change, actor=self.manager, now=self.now)

    def change_model(self) -> ChangeModel:
        """A model of standard changes whose pre-approval is asked for."""
        texts = dict.fromkeys(("name", "impact", "implementation_plan", "test_plan", "backout_plan"), self.text)
        administrator, key = self.people["administrator"], f"{self.canary}-recipe"
        model = create_change_model(key=key, product=self.product, actor=administrator, **texts)
        open_round(model, actor=self.manager, now=self.now)
        return model

    def running_plan(self) -> DeploymentPlan:
        """A plan in progress: one task failed, the next is assigned to the team, the last to a person."""
        by: dict[str, Any] = {"actor": self.manager, "now": self.now}
        items = [("other", self.text), ("artifacts", "")]
        ask_for(self.product, tier="staging", items=items, actor=self.people["administrator"])
        assignees = (None, self.team, self.author)
        tasks = [TaskDraft(f"{self.canary} task {n}", assignee=each) for n, each in enumerate(assignees)]
        plan = create_plan(
            release=self.release,
            environment=EnvironmentFactory(key="staging"),
            planned_start=self.now,
            latest_start=self.now + HOUR,
            tasks=tasks,
            backout_tasks=[TaskDraft(f"{self.canary} way back")],
            **by,
        )
        ask_to_look_up(plan, **by)
        plan = fire(fire(plan, "prepare", **by), "schedule", **by)
        plan = start(plan, actor=self.people["deployer"], now=self.now)
        self.tasks: list[DeploymentTask] = list(plan.tasks.order_by("is_backout", "position"))
        fail_task(self.tasks[0], actor=self.people["deployer"], now=self.now, evidence=self.text, reason=self.text)
        return DeploymentPlan.objects.get(pk=plan.pk)

    def weekly_board(self) -> Board:
        chair = self.people["cab_chair"]
        facts: dict[str, Any] = {"key": f"{self.canary}-board", "name": self.text, "team": self.team, "chair": chair}
        facts |= {"rule": "FREQ=WEEKLY;BYDAY=TH", "start_time": time(10)}
        return create_board(**facts, members=[self.people["cab_member"]], actor=chair, now=self.now)

    def round_with_a_vote(self) -> ApprovalRound:
        """The release's round: one has abstained, so that it is open still. And the content changed after it."""
        round = open_round(self.release, actor=self.manager, now=self.now)
        said: dict[str, Any] = {"decision": "abstain", "comment": self.text, "digest": round.digest}
        self.vote: Vote = vote(round, actor=self.signer, now=self.now, **said)
        self.condition = Condition.objects.create(vote=self.vote, text=self.text)
        self.release = Release.objects.get(pk=self.release.pk)
        return ApprovalRound.objects.get(pk=round.pk)

    def next_meeting(self) -> Meeting:
        """With the round on its agenda, which is closed."""
        meeting = self.board.meetings.earliest("starts_at")
        AgendaItem.objects.create(meeting=meeting, round=self.round, position=1, notes=self.text)
        Meeting.objects.filter(pk=meeting.pk).update(agenda_at=self.now, notes=self.text)
        return meeting

    def far_freeze(self) -> Window:
        """A freeze that is in nobody's way yet."""
        far: dict[str, Any] = {"first_on": date(2190, 1, 1), "start_time": time(10), "duration_minutes": 60}
        texts: dict[str, Any] = {"name": self.text, "reason": self.text}
        chair = self.people["cab_chair"]
        return create_window(kind="deny", product=self.product, **far, **texts, actor=chair, now=self.now)

    def asked_override(self) -> WindowOverride:
        """One that the deployer asks for."""
        return request_override(
            release=self.release,
            environment=self.production,
            windows=[self.window],
            reason=self.text,
            expires_at=self.now + HOUR,
            actor=self.people["deployer"],
            now=self.now,
        )

    def stopped_line(self) -> LineStop:
        """A stop where nothing is to start."""
        where: dict[str, Any] = {"product": self.product, "environment": EnvironmentFactory(key="development")}
        return stop_line(**where, reason=self.text, actor=self.manager, now=self.now)[0]

    def open_incident(self) -> Incident:
        """One that the deployment caused, as the manager says."""
        where: dict[str, Any] = {"product": self.product, "environment": self.production, "title": self.text}
        facts: dict[str, Any] = {"kind": "down", "started_at": self.now - HOUR, "caused_by": self.deployment}
        return report_incident(**where, **facts, components=[self.component], actor=self.manager, now=self.now)

    def key_of(self, records: str) -> str:
        """How the address of the side's own record of that kind ends; what belongs to no team is the same for all."""
        keys = {
            "teams": self.team.key,
            "products": self.product.key,
            "environments": self.production.key,
            "release-models": "normal",
            "approval-policies": "low-risk",
            "releases": self.release.number,
            "known-defects": self.defect.number,
            "changes": self.change.number,
            "change-models": self.recipe.number,
            "deployment-plans": self.plan.number,
            "approvals": self.round.pk,
            "boards": self.board.key,
            "meetings": self.meeting.pk,
            "deployments": self.deployment.pk,
            "windows": self.window.number,
            "window-overrides": self.override.pk,
            "webhook-endpoints": self.endpoint.pk,
            "line-stops": self.stop.pk,
            "incidents": self.incident.number,
            "notifications": self.notice,
        }
        return str(keys.get(records, ""))

    @property
    def notice(self) -> int:
        """The contributor's own, in the inbox."""
        return Delivery.objects.inbox_of(self.author).earliest("pk").pk

    def pk_of(self, model: str) -> int:
        """The key of the side's own record of that model."""
        rows: dict[str, Any] = {
            "team": self.team,
            "user": self.signer,
            "groupmapping": self.mapping,
            "board": self.board,
            "meeting": self.meeting,
            "product": self.product,
            "environment": self.production,
            "releasemodel": self.product.default_model,
            "approvalpolicy": ApprovalPolicy.objects.earliest("pk"),
            "release": self.release,
            "knowndefect": self.defect,
            "changerequest": self.change,
            "changemodel": self.recipe,
            "deploymentplan": self.plan,
            "deployment": self.deployment,
            "quarantinedrow": self.quarantined,
            "window": self.window,
            "incident": self.incident,
            "webhookendpoint": self.endpoint,
            "approvalround": self.round,
            "event": Event.objects.filter(stream=self.release.stream).latest("pk"),
        }
        return int(rows[model].pk)


@dataclass
class World:
    """Ours, theirs, and those who belong to neither."""

    ours: Side = field(default_factory=lambda: Side("heimat"))
    theirs: Side = field(default_factory=lambda: Side("kolibri"))

    def __post_init__(self) -> None:
        self.everywhere: dict[str, User] = {role: someone(role, username=f"global-{role}") for role in Role.values}
        self.nobody = someone(username="nobody")
        normal = ReleaseModel.objects.get(key="normal")
        self.pre_approval = open_round(normal, actor=self.ours.manager, now=self.ours.now)
        self.superuser = someone(username="root", is_superuser=True)
        self.insider = someone(*Role.values[:-1], team=self.ours.team, username="insider")
        self.links_between_the_teams()
        proposer = someone("administrator", username="proposer")
        for side in (self.ours, self.theirs):
            side.mapping = side.mapped(proposer)

    def links_between_the_teams(self) -> None:
        """A colleague of ours works for them too, and a release of ours waits for one of theirs."""
        now, administrator = self.ours.now, self.everywhere["administrator"]
        self.colleague = self.ours.someone("contributor", username="colleague")
        grant_role(self.colleague, role="auditor", team=self.theirs.team, actor=administrator, now=now)
        denied = NotPermitted(f"You may not cancel {self.theirs.canary}.")
        refuse(self.colleague, denied, subject=f"/api/v1/releases/{self.theirs.canary}@1/")
        waits = {"depends_on": [self.theirs.shipped]}
        edit_release(self.ours.release, changes=waits, actor=self.everywhere["release_manager"], now=now)
        drain(now=now)
