"""What surrounds the demo's releases: change requests, known defects and incidents, in each of their states."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

from django.utils import timezone

from approvals.commands import (
    answer_risk,
    assess,
    call_meeting,
    close_agendas,
    create_board,
    create_change,
    create_change_model,
    finish,
    implement,
    submit,
)
from approvals.models import ChangeRequest
from approvals.queries import questionnaire
from deployments.commands import correct_incident, report_incident
from deployments.models import Deployment, Incident
from releasemgmt.catalog.models import Tier
from releasemgmt.portal.demo.walk import Walk
from releasemgmt.releases import commands
from releasemgmt.releases.models import DefectLink, KnownDefect, Release
from releasemgmt.workflow.commands import fire

PLANS: dict[str, Any] = {
    "impact": "Some seconds without the service while it restarts.",
    "implementation_plan": "By the deployment procedure of the release.",
    "test_plan": "The suites of the release model.",
    "backout_plan": "Start the version before; data stay as they are.",
}


def request_changes(walk: Walk, planned: Release) -> None:
    """Changes in the states that the releases' own ones are not in; the first rides with the planned release."""
    people, now = walk.stage.people, walk.now
    draft(walk, "Count deployments and their failures", releases=[planned])
    submit(draft(walk, "Keep a second copy of the backups"), actor=people["dana"], now=now)
    hand_in(walk, draft(walk, "Move mail to the new relay"))
    elsewhere = [walk.stage.environments[Tier.STAGING]]  # so that it is in no plan's way
    begun = hand_in(walk, draft(walk, "Renew the certificate of staging", environments=elsewhere))
    walk.approve(begun, "rolf")
    implement(begun, actor=people["dario"], now=now)
    given_up = draft(walk, "Raise the limit of uploads to 1 GiB")
    fire(given_up, "cancel", reason="Nobody needs more than 20 MiB.", actor=people["dana"], now=now)
    follow_a_model(walk)
    put_out_a_fire(walk)


def follow_a_model(walk: Walk) -> None:
    """Ada writes a model that Chiara approves; the first change under it is scheduled without a round."""
    people = walk.stage.people
    model = create_change_model(
        key="grow-volume",
        name="Grow a volume",
        product=walk.stage.product,
        tiers=[Tier.STAGING.value, Tier.PRODUCTION.value],
        impact="None; the volume grows while it is in use.",
        implementation_plan="Raise the size in the volume's definition, apply it, grow the file system.",
        test_plan="Compare the free space before and after.",
        backout_plan="None is needed: a volume that grew does no harm, and is never made smaller.",
        actor=people["ada"],
    )
    walk.approve(model, "chiara")
    plans = dict.fromkeys(("impact", "implementation_plan", "test_plan", "backout_plan"), "")
    kind = ChangeRequest.Type.STANDARD
    grown = draft(walk, "Grow the database's volume to 200 GiB", type=kind, model=model, **plans)
    harmless = {question["key"]: question["choices"][0]["key"] for question in questionnaire().questions}
    answer_risk(grown, answers=harmless, actor=people["dana"], now=walk.now)
    submit(grown, actor=people["dana"], now=walk.now)


def put_out_a_fire(walk: Walk) -> None:
    """An emergency that the chair agreed to and Dario carried out; its retrospective waits for votes."""
    people, now = walk.stage.people, walk.now
    kind = ChangeRequest.Type.EMERGENCY
    fire_alarm = draft(walk, "Let mail through again", type=kind, incident_reference="INC-1")
    fire_alarm = submit(fire_alarm, actor=people["dana"], now=now)
    walk.approve(fire_alarm, "chiara")
    implement(fire_alarm, actor=people["dario"], now=now)
    finish(fire_alarm, actor=people["dario"], now=now, outcome="successful")


def hand_in(walk: Walk, change: ChangeRequest) -> ChangeRequest:
    """Dana submits a change and Mara assesses it; it waits for authorization, by its release's round or its own."""
    change = submit(change, actor=walk.stage.people["dana"], now=walk.now)
    return assess(change, actor=walk.stage.people["mara"], now=walk.now)


def draft(walk: Walk, title: str, **fields: Any) -> ChangeRequest:
    """A change request by Dana, with all that submitting asks for."""
    dana, production = walk.stage.people["dana"], [walk.stage.environments[Tier.PRODUCTION]]
    times = {"planned_start": walk.now, "planned_end": walk.now + timedelta(days=30)}
    given = {"implementer": walk.stage.people["dario"], "environments": production, **times}
    return create_change(
        product=walk.stage.product,
        title=title,
        justification="Wanted by those who work with it every day.",
        components=[walk.stage.component],
        actor=dana,
        now=walk.now,
        **(PLANS | given | fields),
    )


def meet(walk: Walk) -> None:
    """The CAB meets each week, and in an hour: the waiting release is on its agenda, and a change of Carla's."""
    people, now = walk.stage.people, walk.now
    hand_in(walk, draft(walk, "Move the archive to cheaper disks", risk="medium", implementer=people["carla"]))
    board = create_board(
        key="platform-cab",
        name="Platform CAB",
        team=walk.stage.product.team,
        chair=people["chiara"],
        members=[people["carla"], people["cem"]],
        rule="FREQ=WEEKLY;BYDAY=TH",
        start_time=time(14),
        time_zone="Europe/Berlin",
        actor=people["chiara"],
        now=now,
    )
    call_meeting(board, starts_at=now + timedelta(hours=1), actor=people["chiara"], now=now)
    close_agendas(now)


FIXED = "A filter is left out of fast lists"
#: Title, severity, symptom, and the transitions that it has been through, with their fields.
DEFECTS: tuple[tuple[str, str, str, tuple[tuple[str, dict[str, Any]], ...]], ...] = (
    ("Two plans can't swap their order", "minor", "The later one has to be reopened first.", ()),
    (
        "Times show in UTC on the phone",
        "major",
        "The zone of the profile is not used on narrow screens.",
        (("offer_workaround", {"workaround": "Turn the phone, or use the desktop page."}),),
    ),
    (FIXED, "critical", "Lists show records that the filter hides.", (("fix", {}),)),
    ("A long title breaks the line", "trivial", "Seen at 320 pixels.", (("fix", {}), ("verify", {}))),
    ("Sign-in is slow", "minor", "Half a second.", (("fix", {}), ("verify", {}), ("close", {}))),
    ("The logo is not blue", "trivial", "It is green.", (("reject", {"reason": "It is meant to be."}),)),
)


def report_defects(walk: Walk, *, affected: Release, fixed_in: Release) -> None:
    """Known defects in each of their states, and a critical one that blocks the release that was tested."""
    people, now = walk.stage.people, walk.now
    for title, severity, symptom, life in DEFECTS:
        defect = _defect(walk, title, severity, symptom)
        for step, fields in life:
            defect = fire(defect, step, actor=people["dana"], now=now, **fields)
        if defect.title == FIXED:
            relation = DefectLink.Relation.FIXED_IN
            commands.link_defect(fixed_in, defect=defect, relation=relation, actor=people["dana"], now=now)
    blocking = _defect(walk, "A plan starts twice after a restart", "critical", "Two deployments, a second apart.")
    commands.link_defect(affected, defect=blocking, actor=people["dana"], now=now)


def _defect(walk: Walk, title: str, severity: str, symptom: str) -> KnownDefect:
    return commands.create_defect(
        product=walk.stage.product,
        component=walk.stage.component,
        title=title,
        severity=severity,
        symptom=symptom,
        actor=walk.stage.people["dana"],
        now=walk.now,
    )


def report_incidents(walk: Walk, *, rolled_back: str) -> None:
    """Mail that did not go out, a release that did harm until it was rolled back, and one that the service suspects."""
    people, now = walk.stage.people, walk.now
    hour = timedelta(hours=1)
    mail = _incident(walk, "Mail does not go out", "down", started_at=now - 3 * hour, detected_at=now - 2.5 * hour)
    correct_incident(mail, changes={"restored_at": now - hour}, actor=people["dario"], now=now)
    lists = _incident(walk, "Lists show records that the filter hides", "degraded", started_at=now, severity="critical")
    shipped = Deployment.objects.filter(environment=walk.stage.environments[Tier.PRODUCTION])
    named = {
        "caused_by": shipped.get(release__title=rolled_back, kind=Deployment.Kind.DEPLOY),
        "fixed_by": shipped.get(kind=Deployment.Kind.ROLLBACK),
        "restored_at": timezone.now(),
    }
    correct_incident(lists, changes=named, actor=people["dario"], now=now)
    _incident(walk, "Pages are slow", "degraded", started_at=now, severity="minor")


def _incident(walk: Walk, title: str, kind: str, **facts: Any) -> Incident:
    return report_incident(
        product=walk.stage.product,
        environment=walk.stage.environments[Tier.PRODUCTION],
        components=[walk.stage.component],
        title=title,
        kind=kind,
        actor=walk.stage.people["dana"],
        now=walk.now,
        **facts,
    )
