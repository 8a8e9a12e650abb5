"""The editor of an approval policy: where it speaks, and its stages as rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from approvals.models import ApprovalPolicy, Board
from approvals.policies import RISKS, VOTERS, Stage, step_of
from approvals.policies.proposals import MOST, WHO
from releasemgmt.accounts.models import Role, Team, User
from releasemgmt.catalog.models import Tier
from releasemgmt.portal.admin.forms import text, visible_teams
from releasemgmt.web.admin import PersonalForm
from releasemgmt.workflow.errors import Invalid, Refused

TYPES = [
    ("major", "Major release"),
    ("minor", "Minor release"),
    ("patch", "Patch release"),
    ("normal", "Normal change"),
    ("standard", "Standard change"),
    ("emergency", "Emergency, of either kind"),
]
UNITS = [("count", "people"), ("percent", "% of them")]
#: The conditions of a policy, as fields of the form.
CONDITIONS = ("risk", "type", "tier", "team")
#: The values of the buttons that change the rows; a row's number follows the second one.
ADD, REMOVE = "add", "remove-"


def ticked(choices: Sequence[tuple[str, str]], **options: Any) -> forms.MultipleChoiceField:
    """Values to tick, none of which means any."""
    return forms.MultipleChoiceField(
        choices=choices, required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: any.", **options
    )


class StageForm(forms.Form):
    """One row: how many of whom, at which step."""

    step = forms.IntegerField(min_value=1, max_value=MOST, initial=1)
    amount = forms.IntegerField(min_value=1, max_value=MOST, initial=1, label="How many")
    unit = forms.ChoiceField(choices=UNITS, label="Counted as")
    who = forms.ChoiceField(label="Of whom")
    either = forms.CharField(max_length=40, required=False, label="Either")
    veto = forms.BooleanField(required=False, label="May veto")

    def __init__(self, *args: Any, seats: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["who"].choices = seats  # type: ignore[attr-defined]

    def as_stage(self) -> dict[str, Any]:
        """What the command takes."""
        said = self.cleaned_data
        kind, _, key = said["who"].partition(":")
        either = {"either": said["either"]} if said["either"] else {}
        return {"step": said["step"], kind: key, said["unit"]: said["amount"], "veto": said["veto"], **either}


class PolicyForm(PersonalForm):
    """A policy, or what the next version of one says; `record` is the version before it."""

    key = forms.SlugField(max_length=40, help_text="A key that exists already gets its next version.")
    name = forms.CharField(max_length=100)
    subject = forms.ChoiceField(choices=ApprovalPolicy.Subject.choices, label="It speaks about", initial="any")
    risk = ticked([(risk, risk.capitalize()) for risk in RISKS], label="Of which risk")
    type = ticked(TYPES, label="Of which type")
    tier = ticked(Tier.choices, label="That touch which environments")
    team = ticked([], label="Of which team")
    reason = text(2, label="Why", max_length=10_000)
    retired = forms.BooleanField(required=False, label="End it: from this version on, this key asks for nothing")
    #: How many rows there are.
    rows = forms.IntegerField(min_value=1, max_value=MOST, widget=forms.HiddenInput, initial=1)
    stage_errors: Sequence[str] = ()

    def choose(self, user: User, record: ApprovalPolicy | None) -> None:
        teams = visible_teams(user)
        self.fields["team"].choices = [(team.key, team.name) for team in teams]  # type: ignore[attr-defined]
        self.fields.pop("retired" if record is None else "key")
        seats = _seats(user, teams)
        begun = self.initial.get("stages", [{}])
        rows = min(max(_number(self.data.get("rows")), 1), MOST) if self.is_bound else len(begun)
        self.stages = [
            StageForm(
                self.data if self.is_bound else None,
                prefix=f"stage-{row}",
                seats=seats,
                initial=None if self.is_bound else begun[row],
            )
            for row in range(rows)
        ]
        self.initial.setdefault("rows", rows)

    def is_valid(self) -> bool:
        """Whether the form and each of its rows is."""
        return all([super().is_valid(), *(stage.is_valid() for stage in self.stages)])

    @property
    def is_in_order(self) -> bool:
        """Whether nothing is wrong with it, as far as anybody has looked."""
        return not (self.errors or any(stage.errors for stage in self.stages))

    def policy(self) -> dict[str, Any]:
        """What the commands take."""
        said = dict(self.cleaned_data)
        conditions = {name: said.pop(name) for name in CONDITIONS}
        said.pop("rows")
        stages = [stage.as_stage() for stage in self.stages]
        return {**said, "conditions": {name: value for name, value in conditions.items() if value}, "stages": stages}

    def refused(self, refused: Refused) -> bool:
        """Say what is wrong beside the field, or the row, that it is about."""
        if not isinstance(refused, Invalid):
            return False
        for path, reason in refused.errors.items():
            name, _, rest = path.partition(".")
            if name == "stages" and rest.isdecimal():
                self.stages[int(rest)].add_error(None, reason)
            elif name == "stages":
                self.stage_errors = [*self.stage_errors, reason]
            else:
                field = rest or name
                self.add_error(field if field in self.fields else None, reason)
        self.add_error(None, "Nothing is proposed yet: see below what keeps it from being one.")
        return True


def written(form: PolicyForm, change: str) -> dict[str, Any]:
    """What was sent, with a row more (`add`) or less (`remove-2`): what the form goes on with, nothing else lost."""
    rows = [{name: stage[name].value() for name in stage.fields} for stage in form.stages]
    row = change.removeprefix(REMOVE)
    if change == ADD and len(rows) < MOST:
        rows.append({"step": _number(rows[-1]["step"]) + 1})
    elif len(rows) > 1 and _number(row) < len(rows):
        del rows[_number(row)]
    return {**{name: form[name].value() for name in form.fields if name != "rows"}, "stages": rows}


def _number(sent: Any) -> int:
    """A number of at most three digits; 0 where it is none."""
    said = str(sent)
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 4 else 0


def told(policy: ApprovalPolicy) -> dict[str, Any]:
    """What the form for its next version starts with."""
    stages = sorted(policy.stages, key=step_of)
    plain = {name: getattr(policy, name) for name in ("name", "subject")}
    return {**plain, **policy.conditions, "stages": [_row(stage) for stage in stages]}


def _row(stage: Stage) -> Mapping[str, Any]:
    known: Mapping[str, Any] = stage
    kind = next(name for name in WHO if known.get(name))
    unit = "percent" if known.get("percent") else "count"
    who = {"who": f"{kind}:{known[kind]}", "unit": unit, "amount": known[unit], "step": step_of(stage)}
    return {**who, "either": known.get("either", ""), "veto": known.get("veto", False)}


def _seats(user: User, teams: Iterable[Team]) -> list[Any]:
    """Whom a stage can ask: roles, teams, boards, and the boards of a kind."""
    boards = [(f"board:{board.key}", board.name) for board in Board.objects.visible_to(user).order_by("key")]
    kinds = [(f"board:{kind}", f"any {label.lower()} board") for kind, label in Board.Kind.choices]
    return [
        ("Who holds the role", [(f"role:{role}", Role(role).label) for role in VOTERS]),
        ("Who belongs to the team", [(f"team:{team.key}", team.name) for team in teams]),
        ("Who sits on the board", [*kinds, *boards]),
    ]
