"""What the migrations up to 0006 make of an empty database, in one step."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django_fsm
from django.conf import settings
from django.db import migrations, models

import releasemgmt.workflow.models
from approvals import shipped


class Migration(migrations.Migration):
    replaces = [
        ("approvals", "0001_initial"),
        ("approvals", "0002_shipped"),
        ("approvals", "0003_boards"),
        ("approvals", "0004_policies_rounds_delegation"),
        ("approvals", "0005_shipped_emergency"),
        ("approvals", "0006_change_types"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0005_groups_of_a_provider"),
        ("catalog", "0001_squashed_0004_promotion"),
        ("releases", "0001_squashed_0005_delivered_and_reached"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApprovalPolicy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "key",
                    models.CharField(
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens."
                            )
                        ],
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=100)),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("release", "Releases"),
                            ("change", "Change requests"),
                            ("any", "Releases and change requests"),
                            ("pre_approval", "Pre-approvals of models"),
                        ],
                        default="any",
                        max_length=12,
                    ),
                ),
                ("conditions", models.JSONField(blank=True, default=dict)),
                ("stages", models.JSONField(default=list)),
                ("bootstrap", models.BooleanField(default=False, editable=False)),
                ("decided_at", models.DateTimeField(editable=False, null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("proposed_at", models.DateTimeField(editable=False, null=True)),
                (
                    "proposed_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("retired", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("proposed", "Proposed"),
                            ("accepted", "Accepted"),
                            ("declined", "Declined"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="proposed",
                        editable=False,
                        max_length=10,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "approval policies",
                "ordering": ["key", "-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("key", "version"), name="policy_version_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("bootstrap", True),
                            models.Q(
                                ("proposed_at__isnull", False),
                                ("proposed_by__isnull", False),
                                models.Q(
                                    models.Q(("decided_at", None), ("decided_by", None), ("state", "proposed")),
                                    models.Q(
                                        models.Q(("state", "proposed"), _negated=True),
                                        ("decided_at__isnull", False),
                                        ("decided_by__isnull", False),
                                    ),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="approvals_approvalpolicy_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("bootstrap", True),
                            ("state", "withdrawn"),
                            ("decided_by", None),
                            models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="approvals_approvalpolicy_second_person",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Board",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "key",
                    models.CharField(
                        max_length=40,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "kind",
                    models.CharField(
                        choices=[("normal", "Normal"), ("emergency", "Emergency")], default="normal", max_length=10
                    ),
                ),
                ("rule", models.CharField(blank=True, max_length=200)),
                ("first_on", models.DateField()),
                ("start_time", models.TimeField()),
                (
                    "duration_minutes",
                    models.PositiveSmallIntegerField(
                        default=60,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1440),
                        ],
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", max_length=64, validators=[releasemgmt.workflow.models.time_zone_exists]
                    ),
                ),
                (
                    "cut_off_minutes",
                    models.PositiveIntegerField(
                        default=1440,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(20160),
                        ],
                    ),
                ),
                (
                    "chair",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="boards",
                        to="accounts.team",
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
                "indexes": [models.Index(fields=["-created_at", "-id"], name="board_list")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("duration_minutes__range", (1, 1440))), name="board_meets_for_some_minutes"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("cut_off_minutes__range", (1, 20160))),
                        name="board_closes_its_agenda_before",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BoardMember",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                (
                    "board",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="members", to="approvals.board"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="board_seats",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["user__first_name", "user__username"],
                "constraints": [models.UniqueConstraint(fields=("board", "user"), name="board_member_once")],
            },
        ),
        migrations.CreateModel(
            name="Meeting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("cut_off_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[("planned", "Planned"), ("held", "Held"), ("cancelled", "Cancelled")],
                        default="planned",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("extra", models.BooleanField(default=False, editable=False)),
                ("agenda_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("notes", models.TextField(blank=True)),
                ("minutes", models.TextField(blank=True, editable=False)),
                ("settled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("attendees", models.ManyToManyField(blank=True, related_name="+", to=settings.AUTH_USER_MODEL)),
                (
                    "board",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="meetings", to="approvals.board"
                    ),
                ),
                (
                    "settled_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-starts_at", "-id"], name="meeting_list"),
                    models.Index(
                        condition=models.Q(("agenda_at", None), ("state", "planned")),
                        fields=["cut_off_at"],
                        name="agenda_to_close",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("board", "starts_at"), name="meeting_once_at_a_time"),
                    models.CheckConstraint(
                        condition=models.Q(("starts_at__lt", models.F("ends_at"))), name="meeting_starts_before_it_ends"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("cut_off_at__lt", models.F("starts_at"))),
                        name="agenda_closes_before_the_meeting",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("settled_at", None), ("settled_by", None), ("state", "planned")),
                            models.Q(
                                models.Q(("state", "planned"), _negated=True),
                                ("settled_at__isnull", False),
                                ("settled_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="meeting_is_settled_by_somebody",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Delegation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("roles", models.JSONField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("created_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "delegate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="delegations_held",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "delegator",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="delegations_given",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-starts_at", "-id"],
                "indexes": [
                    models.Index(fields=["delegator", "-ends_at"], name="delegation_given"),
                    models.Index(fields=["delegate", "-ends_at"], name="delegation_held"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("delegator", models.F("delegate")), _negated=True),
                        name="delegation_to_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("starts_at__lt", models.F("ends_at"))),
                        name="delegation_starts_before_it_ends",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ChangeModel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "key",
                    models.CharField(
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens."
                            )
                        ],
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=100)),
                ("tiers", models.JSONField(blank=True, default=list)),
                ("components", models.JSONField(blank=True, default=list)),
                ("impact", models.TextField(blank=True)),
                ("implementation_plan", models.TextField()),
                ("test_plan", models.TextField(blank=True)),
                ("backout_plan", models.TextField()),
                (
                    "pre_approval_days",
                    models.PositiveSmallIntegerField(
                        default=180,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(366),
                        ],
                    ),
                ),
                (
                    "success_floor",
                    models.PositiveSmallIntegerField(
                        default=90,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="change_models",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "ordering": ["key", "-version"],
                "constraints": [models.UniqueConstraint(fields=("key", "version"), name="change_model_version_once")],
            },
        ),
        migrations.CreateModel(
            name="ChangeRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("entered_by", models.CharField(default="", editable=False, max_length=40)),
                (
                    "type",
                    models.CharField(
                        choices=[("standard", "Standard"), ("normal", "Normal"), ("emergency", "Emergency")],
                        default="normal",
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("draft", "Draft"),
                            ("assessment", "Assessment"),
                            ("authorization", "Authorization"),
                            ("scheduled", "Scheduled"),
                            ("implementation", "Implementation"),
                            ("review", "Review"),
                            ("closed", "Closed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=40,
                        protected=True,
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                ("justification", models.TextField(blank=True)),
                ("impact", models.TextField(blank=True)),
                (
                    "risk",
                    models.CharField(
                        choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")], default="low", max_length=10
                    ),
                ),
                ("implementation_plan", models.TextField(blank=True)),
                ("test_plan", models.TextField(blank=True)),
                ("backout_plan", models.TextField(blank=True)),
                ("planned_start", models.DateTimeField(blank=True, null=True)),
                ("planned_end", models.DateTimeField(blank=True, null=True)),
                ("outage_expected", models.BooleanField(default=False)),
                ("outage_minutes", models.PositiveIntegerField(blank=True, null=True)),
                ("incident_reference", models.CharField(blank=True, max_length=500)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("successful", "Successful"),
                            ("successful_with_issues", "Successful with issues"),
                            ("unsuccessful", "Unsuccessful"),
                        ],
                        editable=False,
                        max_length=25,
                    ),
                ),
                ("review", models.TextField(blank=True)),
                ("unauthorised", models.BooleanField(default=False, editable=False)),
                ("components", models.ManyToManyField(blank=True, related_name="changes", to="catalog.component")),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("environments", models.ManyToManyField(blank=True, related_name="changes", to="catalog.environment")),
                (
                    "implementer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="changes", to="catalog.product"
                    ),
                ),
                ("releases", models.ManyToManyField(blank=True, related_name="changes", to="releases.release")),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("retrospective_due_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("retrospective_missed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "model",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="changes",
                        to="approvals.changemodel",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="change_list"),
                    models.Index(fields=["state", "-created_at", "-id"], name="change_list_by_state"),
                    models.Index(fields=["product", "-created_at", "-id"], name="change_list_by_product"),
                    models.Index(fields=["state", "planned_end"], name="change_interval"),
                    models.Index(fields=["model", "-id"], name="change_of_model"),
                    models.Index(
                        condition=models.Q(("retrospective_due_at__isnull", False)),
                        fields=["retrospective_due_at"],
                        name="change_owes_retrospective",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("planned_start", None),
                            ("planned_end", None),
                            ("planned_start__lt", models.F("planned_end")),
                            _connector="OR",
                        ),
                        name="change_starts_before_it_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("outage_minutes", None), ("outage_expected", True), _connector="OR"),
                        name="outage_has_a_length_if_expected",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("model", None), ("type", "standard"), _connector="OR"),
                        name="standard_changes_have_models",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApprovalRound",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=71)),
                ("content", models.JSONField()),
                ("policies", models.JSONField()),
                ("stages", models.JSONField()),
                ("editors", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("expired", "Expired"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="open",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "opened_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rounds",
                        to="releases.release",
                    ),
                ),
                (
                    "change",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rounds",
                        to="approvals.changerequest",
                    ),
                ),
                ("asks", models.JSONField(default=list)),
                ("due_at", models.DateTimeField()),
                ("follow_up_at", models.DateTimeField()),
                ("follow_ups", models.PositiveSmallIntegerField(default=0)),
                (
                    "model",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rounds",
                        to="catalog.releasemodel",
                    ),
                ),
                ("retrospective", models.BooleanField(default=False)),
                ("step", models.PositiveSmallIntegerField(default=1)),
                ("unreachable_at", models.DateTimeField(blank=True, null=True)),
                (
                    "change_model",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rounds",
                        to="approvals.changemodel",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["release", "-id"], name="round_of_release"),
                    models.Index(fields=["change", "-id"], name="round_of_change"),
                    models.Index(fields=["state", "-opened_at", "-id"], name="round_list_by_state"),
                    models.Index(fields=["-opened_at", "-id"], name="round_list"),
                    models.Index(fields=["model", "-id"], name="round_of_model"),
                    models.Index(
                        condition=models.Q(("state", "open")), fields=["follow_up_at"], name="round_to_follow_up"
                    ),
                    models.Index(fields=["change_model", "-id"], name="round_of_change_model"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")), fields=("release",), name="one_open_round_a_release"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")), fields=("change",), name="one_open_round_a_change"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("state", "open")),
                            models.Q(models.Q(("state", "open"), _negated=True), ("decided_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="round_is_decided_at_a_time",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")), fields=("model",), name="one_open_round_a_model"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("change__isnull", True),
                                ("change_model__isnull", True),
                                ("model__isnull", True),
                                ("release__isnull", False),
                            ),
                            models.Q(
                                ("change__isnull", False),
                                ("change_model__isnull", True),
                                ("model__isnull", True),
                                ("release__isnull", True),
                            ),
                            models.Q(
                                ("change__isnull", True),
                                ("change_model__isnull", True),
                                ("model__isnull", False),
                                ("release__isnull", True),
                            ),
                            models.Q(
                                ("change__isnull", True),
                                ("change_model__isnull", False),
                                ("model__isnull", True),
                                ("release__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="round_has_one_subject",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("change_model",),
                        name="one_open_round_a_change_model",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Vote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "decision",
                    models.CharField(
                        choices=[("approve", "Approve"), ("reject", "Reject"), ("abstain", "Abstain")], max_length=10
                    ),
                ),
                ("comment", models.TextField(blank=True)),
                ("digest", models.CharField(max_length=71)),
                ("at", models.DateTimeField()),
                (
                    "channel",
                    models.CharField(choices=[("api", "API"), ("admin", "Admin")], default="api", max_length=10),
                ),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "round",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="votes", to="approvals.approvalround"
                    ),
                ),
                (
                    "voter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "on_behalf_of",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("seats", models.JSONField(default=list)),
            ],
            options={
                "ordering": ["at", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("revoked_at", None)),
                        fields=("round", "voter"),
                        name="one_live_vote_a_person_a_round",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision", "reject"), _negated=True),
                            models.Q(("comment", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="a_rejection_says_why",
                    ),
                    models.UniqueConstraint(
                        models.F("round"),
                        django.db.models.functions.comparison.Coalesce("on_behalf_of", "voter"),
                        condition=models.Q(("revoked_at", None)),
                        name="one_live_vote_a_seat",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("on_behalf_of", None),
                            models.Q(("on_behalf_of", models.F("voter")), _negated=True),
                            _connector="OR",
                        ),
                        name="a_vote_in_place_of_another",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AgendaItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                ("notes", models.TextField(blank=True)),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        choices=[("approved", "Approved"), ("rejected", "Rejected"), ("deferred", "Deferred")],
                        max_length=10,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "round",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agenda_items",
                        to="approvals.approvalround",
                    ),
                ),
                (
                    "meeting",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="items", to="approvals.meeting"
                    ),
                ),
            ],
            options={
                "ordering": ["meeting", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("meeting", "round"), name="round_once_on_an_agenda"),
                    models.UniqueConstraint(fields=("meeting", "position"), name="agenda_item_has_its_place"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("decided_by", None), ("decision", "")),
                            models.Q(
                                models.Q(("decision", ""), _negated=True),
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="agenda_item_is_decided_by_somebody",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Condition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.CharField(max_length=500)),
                ("met_at", models.DateTimeField(blank=True, null=True)),
                ("evidence", models.TextField(blank=True)),
                (
                    "met_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "vote",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="conditions", to="approvals.vote"
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("text", ""), _negated=True), name="condition_says_what"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("met_at", None), ("met_by", None)),
                            models.Q(("met_at__isnull", False), ("met_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="condition_is_met_by_somebody",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ChangeConflict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("component", "Same component"),
                            ("environment", "Same environment"),
                            ("implementer", "Same implementer"),
                        ],
                        max_length=20,
                    ),
                ),
                ("detail", models.CharField(blank=True, max_length=500)),
                ("found_at", models.DateTimeField()),
                (
                    "change",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.changerequest",
                    ),
                ),
                (
                    "other",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.changerequest",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(fields=("change", "other", "kind"), name="conflict_once"),
                    models.CheckConstraint(
                        condition=models.Q(("other", None), ("change__lt", models.F("other")), _connector="OR"),
                        name="conflict_in_one_order",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Questionnaire",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField(unique=True)),
                ("questions", models.JSONField()),
                ("thresholds", models.JSONField()),
            ],
            options={"ordering": ["-version"]},
        ),
        migrations.CreateModel(
            name="RiskAssessment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("answers", models.JSONField()),
                ("score", models.PositiveSmallIntegerField()),
                (
                    "level",
                    models.CharField(choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")], max_length=10),
                ),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "change",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="assessments",
                        to="approvals.changerequest",
                    ),
                ),
                (
                    "questionnaire",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="approvals.questionnaire"
                    ),
                ),
            ],
            options={"ordering": ["-pk"]},
        ),
        migrations.RunPython(shipped.insert, migrations.RunPython.noop),
        migrations.RunPython(shipped.insert_emergency, migrations.RunPython.noop),
        migrations.RunPython(shipped.insert_questionnaire, migrations.RunPython.noop),
    ]
