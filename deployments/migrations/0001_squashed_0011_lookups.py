"""What the migrations up to 0011 make of an empty database, in one step."""

import django.core.validators
import django.db.models.deletion
import django_fsm
from django.conf import settings
from django.db import migrations, models

import releasemgmt.workflow.models


class Migration(migrations.Migration):
    replaces = [
        ("deployments", "0001_initial"),
        ("deployments", "0002_windows"),
        ("deployments", "0003_observations"),
        ("deployments", "0004_promotion"),
        ("deployments", "0005_incidents"),
        ("deployments", "0006_backout"),
        ("deployments", "0007_unregistered_digests"),
        ("deployments", "0008_preparation"),
        ("deployments", "0009_quarantine"),
        ("deployments", "0010_webhooks"),
        ("deployments", "0011_lookups"),
    ]

    initial = True

    dependencies = [
        ("accounts", "0001_squashed_0005_groups_of_a_provider"),
        ("approvals", "0001_squashed_0006_change_types"),
        ("catalog", "0001_squashed_0004_promotion"),
        ("releases", "0001_squashed_0005_delivered_and_reached"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeploymentPlan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("entered_by", models.CharField(default="", editable=False, max_length=40)),
                ("planned_start", models.DateTimeField()),
                ("latest_start", models.DateTimeField()),
                ("autostart", models.BooleanField(default=False)),
                ("backout_minutes", models.PositiveIntegerField(blank=True, null=True)),
                ("held_up_by", models.CharField(blank=True, editable=False, max_length=500)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("draft", "Draft"),
                            ("ready", "Ready"),
                            ("scheduled", "Scheduled"),
                            ("in_progress", "In progress"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("backing_out", "Backing out"),
                            ("rolled_back", "Rolled back"),
                            ("missed", "Missed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="draft",
                        editable=False,
                        max_length=40,
                        protected=True,
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="plans", to="catalog.environment"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="plans", to="releases.release"
                    ),
                ),
                ("asked_items", models.JSONField(db_default=[], default=list, editable=False)),
                ("cycle", models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="plan_list"),
                    models.Index(fields=["state", "-created_at", "-id"], name="plan_list_by_state"),
                    models.Index(fields=["release", "-created_at", "-id"], name="plan_list_by_release"),
                    models.Index(fields=["environment", "-created_at", "-id"], name="plan_list_by_environment"),
                    models.Index(fields=["state", "planned_start"], name="plan_due"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("planned_start__lte", models.F("latest_start"))),
                        name="plan_is_not_too_late_before_it_begins",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LineStop",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.TextField()),
                ("stopped_at", models.DateTimeField()),
                ("resumed_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="line_stops",
                        to="catalog.environment",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="line_stops",
                        to="catalog.product",
                    ),
                ),
                (
                    "stopped_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["-stopped_at", "-id"], name="line_stop_list")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("product__isnull", False), ("environment__isnull", False), _connector="OR"),
                        name="line_stop_has_a_scope",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("resumed_at", None)),
                        fields=("product", "environment"),
                        name="line_stopped_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("environment", None), ("resumed_at", None)),
                        fields=("product",),
                        name="product_stopped_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("product", None), ("resumed_at", None)),
                        fields=("environment",),
                        name="environment_stopped_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="line_stop_says_why"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Resumption",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "stop",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="resumptions",
                        to="deployments.linestop",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [models.UniqueConstraint(fields=("stop", "by"), name="agrees_to_resume_once")],
            },
        ),
        migrations.CreateModel(
            name="Window",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("entered_by", models.CharField(default="", editable=False, max_length=40)),
                (
                    "kind",
                    models.CharField(choices=[("allow", "Maintenance window"), ("deny", "Freeze")], max_length=10),
                ),
                ("name", models.CharField(max_length=100)),
                ("reason", models.TextField()),
                (
                    "tier",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("development", "Development"),
                            ("integration", "Integration"),
                            ("test", "Test"),
                            ("staging", "Staging"),
                            ("production", "Production"),
                        ],
                        max_length=20,
                    ),
                ),
                ("first_on", models.DateField()),
                ("start_time", models.TimeField()),
                (
                    "duration_minutes",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(527040),
                        ]
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", max_length=64, validators=[releasemgmt.workflow.models.time_zone_exists]
                    ),
                ),
                ("rule", models.CharField(blank=True, max_length=200)),
                ("laid_out_until", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("requested", "Requested"),
                            ("in_force", "In force"),
                            ("declined", "Declined"),
                            ("withdrawn", "Withdrawn"),
                            ("ended", "Ended"),
                        ],
                        default="requested",
                        editable=False,
                        max_length=40,
                        protected=True,
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="windows",
                        to="catalog.environment",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="windows",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="window_list"),
                    models.Index(fields=["state", "-created_at", "-id"], name="window_list_by_state"),
                    models.Index(
                        condition=models.Q(("state", "in_force")), fields=["laid_out_until"], name="window_to_lay_out"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("environment", None), ("tier", ""), _connector="OR"),
                        name="window_of_environment_or_tier",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("duration_minutes__range", (1, 527040))), name="window_lasts_some_minutes"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True), models.Q(("reason", ""), _negated=True)
                        ),
                        name="window_says_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Occurrence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                (
                    "window",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="occurrences",
                        to="deployments.window",
                    ),
                ),
            ],
            options={
                "ordering": ["starts_at", "pk"],
                "indexes": [models.Index(fields=["starts_at"], name="occurrence_by_start")],
                "constraints": [
                    models.UniqueConstraint(fields=("window", "starts_at"), name="occurrence_once"),
                    models.CheckConstraint(
                        condition=models.Q(("starts_at__lt", models.F("ends_at"))),
                        name="occurrence_starts_before_it_ends",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WindowOverride",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.TextField()),
                (
                    "uses",
                    models.PositiveSmallIntegerField(
                        default=1,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                ("used", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("expires_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "Requested"),
                            ("approved", "Approved"),
                            ("declined", "Declined"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="requested",
                        editable=False,
                        max_length=10,
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.environment"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="window_overrides",
                        to="releases.release",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("windows", models.ManyToManyField(related_name="overrides", to="deployments.window")),
                ("skips_promotion", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-requested_at", "-id"], name="override_list"),
                    models.Index(fields=["release", "environment", "expires_at"], name="override_to_use"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("used__lte", models.F("uses")), ("uses__range", (1, 100))),
                        name="override_used_so_often_at_most",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("decided_by", None), ("state", "requested")),
                            models.Q(
                                models.Q(("state", "requested"), _negated=True),
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="override_is_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "approved"), _negated=True),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="override_by_another_person",
                    ),
                    models.CheckConstraint(condition=models.Q(("reason", ""), _negated=True), name="override_says_why"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Observation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "digest",
                    models.CharField(
                        max_length=71,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^sha256:[0-9a-f]{64}\\Z", "Write it as sha256: and 64 hexadecimal digits."
                            )
                        ],
                    ),
                ),
                ("expected", models.CharField(blank=True, max_length=71)),
                ("first_seen_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                (
                    "component",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.component",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.environment",
                    ),
                ),
                (
                    "reported_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["environment", "-first_seen_at", "-id"], name="observation_list")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("component", "environment", "first_seen_at"), name="observed_once_at_an_instant"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("first_seen_at__lte", models.F("last_seen_at"))),
                        name="observation_begins_before_it_ends",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PreparationItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "tier",
                    models.CharField(
                        choices=[
                            ("development", "Development"),
                            ("integration", "Integration"),
                            ("test", "Test"),
                            ("staging", "Staging"),
                            ("production", "Production"),
                        ],
                        max_length=20,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("functionality", "Functionality verified"),
                            ("compliance", "Target environment compliant"),
                            ("configuration", "Configuration reviewed"),
                            ("artifacts", "Artifacts verified"),
                            ("other", "Something else"),
                        ],
                        max_length=20,
                    ),
                ),
                ("title", models.CharField(blank=True, max_length=200)),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="preparation_items",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "ordering": ["product", "tier", "position"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("product", "tier", "position"), name="preparation_item_has_its_place"
                    ),
                    models.UniqueConstraint(fields=("product", "tier", "kind", "title"), name="preparation_item_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "other"), models.Q(("title", ""), _negated=True)),
                            models.Q(models.Q(("kind", "other"), _negated=True), ("title", "")),
                            _connector="OR",
                        ),
                        name="preparation_item_of_another_kind_has_a_title",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("functionality", "Functionality verified"),
                            ("compliance", "Target environment compliant"),
                            ("configuration", "Configuration reviewed"),
                            ("artifacts", "Artifacts verified"),
                            ("other", "Something else"),
                        ],
                        max_length=20,
                    ),
                ),
                ("title", models.CharField(blank=True, max_length=200)),
                ("holds", models.BooleanField(default=True)),
                ("evidence", models.TextField()),
                ("digests", models.JSONField(blank=True, default=dict)),
                ("bound_to", models.CharField(blank=True, max_length=71)),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="verifications",
                        to="deployments.deploymentplan",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("evidence", ""), _negated=True), name="verification_has_evidence"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind", "functionality"), _negated=True),
                        name="functionality_is_verified_by_tests",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="QuarantinedRow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "source",
                    models.CharField(
                        choices=[
                            ("commits", "Commits"),
                            ("releases", "Releases"),
                            ("changelog", "Changelog"),
                            ("incidents", "Incidents"),
                            ("incident_revisions", "Revisions of incidents"),
                        ],
                        max_length=20,
                    ),
                ),
                ("line", models.PositiveIntegerField()),
                ("row", models.TextField()),
                ("reason", models.TextField()),
                ("refers_to", models.JSONField(default=dict)),
                ("fingerprint", models.CharField(editable=False, max_length=64)),
                ("recorded_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        blank=True, choices=[("repaired", "Repaired"), ("dismissed", "Dismissed")], max_length=10
                    ),
                ),
                ("repaired_row", models.TextField(blank=True)),
                ("settled_because", models.TextField(blank=True)),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="quarantined_rows",
                        to="catalog.product",
                    ),
                ),
                (
                    "recorded_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "settled_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-recorded_at", "-id"], name="quarantine_list"),
                    models.Index(
                        fields=["product", "outcome", "-recorded_at", "-id"], name="quarantine_list_by_product"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("product", "fingerprint"), name="row_quarantined_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("outcome", ""), ("settled_at", None), ("settled_by", None)),
                            models.Q(
                                models.Q(("outcome", ""), _negated=True),
                                ("settled_at__isnull", False),
                                ("settled_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="quarantined_row_is_settled_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("outcome", ""), ("repaired_row", ""), ("settled_because", "")),
                            models.Q(("outcome", "repaired"), models.Q(("repaired_row", ""), _negated=True)),
                            models.Q(
                                ("outcome", "dismissed"),
                                ("repaired_row", ""),
                                models.Q(("settled_because", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="quarantined_row_says_what_became_of_it",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                ("url", models.CharField(max_length=500)),
                ("sealed_secret", models.TextField(editable=False)),
                (
                    "time_limit_minutes",
                    models.PositiveIntegerField(
                        default=60,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10080),
                        ],
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="webhook_endpoints",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "ordering": ["product", "key"],
                "constraints": [
                    models.UniqueConstraint(fields=("product", "key"), name="endpoint_once_in_a_product"),
                    models.CheckConstraint(
                        condition=models.Q(("sealed_secret", ""), _negated=True), name="endpoint_has_a_secret"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("time_limit_minutes__range", (1, 10080))), name="endpoint_has_a_time_limit"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DeploymentTask",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("is_backout", models.BooleanField(default=False)),
                ("position", models.PositiveSmallIntegerField()),
                ("title", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("manual", "By hand"), ("webhook", "By webhook")], default="manual", max_length=10
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("prepare", "Prepare"),
                            ("backup", "Backup"),
                            ("deploy", "Deploy"),
                            ("database", "Database"),
                            ("configure", "Configure"),
                            ("verify", "Verify"),
                            ("communicate", "Communicate"),
                            ("restore", "Restore"),
                        ],
                        default="deploy",
                        max_length=20,
                    ),
                ),
                ("estimate_minutes", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("in_progress", "In progress"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("skipped", "Skipped"),
                        ],
                        default="pending",
                        max_length=12,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=1)),
                ("evidence", models.TextField(blank=True)),
                ("reason", models.TextField(blank=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "assigned_team",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployment_tasks",
                        to="accounts.team",
                    ),
                ),
                (
                    "assigned_user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployment_tasks",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "depends_on",
                    models.ManyToManyField(blank=True, related_name="dependants", to="deployments.deploymenttask"),
                ),
                (
                    "finished_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tasks",
                        to="deployments.deploymentplan",
                    ),
                ),
                ("fencing_token", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                (
                    "endpoint",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tasks",
                        to="deployments.webhookendpoint",
                    ),
                ),
            ],
            options={
                "ordering": ["plan", "is_backout", "position"],
                "constraints": [
                    models.UniqueConstraint(fields=("plan", "is_backout", "position"), name="task_has_its_place"),
                    models.CheckConstraint(
                        condition=models.Q(("assigned_user", None), ("assigned_team", None), _connector="OR"),
                        name="task_has_one_assignee",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ["failed", "skipped"]), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="task_failed_or_skipped_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("endpoint__isnull", False), ("kind", "webhook")),
                            models.Q(models.Q(("kind", "webhook"), _negated=True), ("endpoint", None)),
                            _connector="OR",
                        ),
                        name="task_has_an_endpoint_iff_by_webhook",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("kind", "webhook"), ("state", "in_progress")),
                        fields=["plan"],
                        name="task_webhook_on_turn",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookCall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fencing_token", models.PositiveIntegerField()),
                ("message_id", models.CharField(max_length=40, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "To be sent"),
                            ("accepted", "Accepted"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("given_up", "Given up"),
                            ("fenced_off", "Fenced off"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("sends", models.PositiveSmallIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("lease_token", models.CharField(blank=True, max_length=32)),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.CharField(blank=True, max_length=200)),
                (
                    "task",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calls",
                        to="deployments.deploymenttask",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="calls",
                        to="deployments.webhookendpoint",
                    ),
                ),
            ],
            options={
                "ordering": ["task", "-fencing_token"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "pending")), fields=["next_attempt_at", "id"], name="call_to_send"
                    ),
                    models.Index(
                        condition=models.Q(("state", "accepted")), fields=["due_at", "id"], name="call_to_time_out"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("task", "fencing_token"), name="one_call_a_turn"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("next_attempt_at__isnull", False), ("state", "pending")),
                            models.Q(models.Q(("state", "pending"), _negated=True), ("next_attempt_at", None)),
                            _connector="OR",
                        ),
                        name="call_is_sent_again_iff_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "accepted"), _negated=True),
                            models.Q(("accepted_at__isnull", False), ("due_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="accepted_call_has_a_time_limit",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state__in", ["pending", "accepted"])),
                            models.Q(
                                models.Q(("state__in", ["pending", "accepted"]), _negated=True),
                                ("ended_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="call_ended_iff_not_live",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ArtifactLookup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("asked_at", models.DateTimeField()),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("lease_token", models.CharField(blank=True, max_length=32)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("found", models.JSONField(blank=True, default=list)),
                ("problem", models.CharField(blank=True, max_length=500)),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lookups",
                        to="deployments.deploymentplan",
                    ),
                ),
                (
                    "verification",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lookup",
                        to="deployments.verification",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["plan", "-id"], name="lookup_latest"),
                    models.Index(condition=models.Q(("ended_at", None)), fields=["asked_at", "id"], name="lookup_due"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("plan",), name="one_lookup_at_a_time"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("ended_at__isnull", False), ("verification", None), _connector="OR"),
                        name="only_a_lookup_that_ended_verifies",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Deployment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("deploy", "Deploy"), ("rollback", "Rollback"), ("redeploy", "Redeploy")],
                        default="deploy",
                        max_length=10,
                    ),
                ),
                (
                    "origin",
                    models.CharField(choices=[("engine", "By a plan"), ("reported", "Reported")], max_length=10),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("running", "Running"),
                            ("succeeded", "Succeeded"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="running",
                        max_length=10,
                    ),
                ),
                ("external_id", models.CharField(blank=True, max_length=200)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("unauthorised", models.BooleanField(default=False)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployments",
                        to="catalog.environment",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="deployments", to="catalog.product"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployments",
                        to="releases.release",
                    ),
                ),
                (
                    "remediates",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="remediations",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "reported_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployments",
                        to="deployments.deploymentplan",
                    ),
                ),
                (
                    "change",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deployment",
                        to="approvals.changerequest",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-started_at", "-id"], name="deployment_list"),
                    models.Index(fields=["product", "-started_at", "-id"], name="deployment_list_by_product"),
                    models.Index(fields=["release", "-started_at", "-id"], name="deployment_list_by_release"),
                    models.Index(fields=["environment", "-started_at", "-id"], name="deployment_list_by_environ"),
                    models.Index(fields=["product", "-finished_at", "-id"], name="deployment_ended_by_product"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "running")),
                        fields=("product", "environment"),
                        name="one_running_deployment_in_an_environment",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=("product", "external_id"),
                        name="external_id_once_in_a_product",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at", None), ("status", "running")),
                            models.Q(
                                models.Q(("status", "running"), _negated=True),
                                models.Q(("finished_at", None), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="deployment_finished_iff_not_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("finished_at", None), ("started_at__lte", models.F("finished_at")), _connector="OR"
                        ),
                        name="deployment_starts_before_it_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("origin", "engine"), ("plan__isnull", False)),
                            models.Q(("origin", "reported"), ("reported_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="deployment_has_a_plan_or_a_reporter",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("change", None), ("unauthorised", True), _connector="OR"),
                        name="only_the_unauthorised_is_put_on_record",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DeployedBuild",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("succeeded_at", models.DateTimeField(null=True)),
                (
                    "build",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="releases.build"
                    ),
                ),
                (
                    "component",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.component"
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.environment"
                    ),
                ),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deployed_builds",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "back_to",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="releases.release",
                    ),
                ),
                ("removed_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("succeeded_at__isnull", False)),
                        fields=["component", "environment", "-succeeded_at", "-id"],
                        name="deployed_build_latest",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("deployment", "component"), name="component_once_in_a_deployment"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("removed_at", None),
                            models.Q(("removed_at__gte", models.F("succeeded_at")), ("succeeded_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="only_what_ran_is_removed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("title", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("down", "Down"), ("degraded", "Degraded"), ("notice", "Notice")], max_length=10
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("critical", "Critical"), ("major", "Major"), ("minor", "Minor")],
                        default="major",
                        max_length=10,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("detected_at", models.DateTimeField(blank=True, null=True)),
                ("restored_at", models.DateTimeField(blank=True, null=True)),
                ("planned", models.BooleanField(default=False)),
                ("withdrawn", models.BooleanField(default=False)),
                ("external_id", models.CharField(blank=True, editable=False, max_length=200)),
                ("recorded_at", models.DateTimeField()),
                (
                    "cause_confirmed_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "caused_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="deployments.deployment",
                    ),
                ),
                ("components", models.ManyToManyField(blank=True, related_name="incidents", to="catalog.component")),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.environment",
                    ),
                ),
                (
                    "fix_confirmed_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "fixed_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                    ),
                ),
                (
                    "reported_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
                "indexes": [
                    models.Index(fields=["-started_at", "-id"], name="incident_list"),
                    models.Index(fields=["product", "-started_at", "-id"], name="incident_list_by_product"),
                    models.Index(
                        condition=models.Q(("restored_at", None), ("withdrawn", False)),
                        fields=["product", "-started_at", "-id"],
                        name="incident_open",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("restored_at", None), ("started_at__lte", models.F("restored_at")), _connector="OR"
                        ),
                        name="incident_starts_before_it_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("detected_at", None), ("started_at__lte", models.F("detected_at")), _connector="OR"
                        ),
                        name="incident_starts_before_it_is_seen",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cause_confirmed_by", None), ("caused_by", None)),
                            models.Q(("cause_confirmed_by__isnull", False), ("caused_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="incident_cause_is_confirmed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("fix_confirmed_by", None), ("fixed_by", None)),
                            models.Q(("fix_confirmed_by__isnull", False), ("fixed_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="incident_fix_is_confirmed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("external_id", ""), _negated=True),
                            models.Q(
                                ("environment__isnull", False),
                                ("planned", False),
                                models.Q(("kind", "notice"), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="only_an_imported_incident_is_planned_or_nowhere",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("external_id", ""), _negated=True),
                            ("reported_by__isnull", False),
                            _connector="OR",
                        ),
                        name="incident_is_imported_or_reported",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("external_id", ""), _negated=True),
                        fields=("product", "external_id"),
                        name="incident_imported_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IncidentRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("down", "Down"), ("degraded", "Degraded"), ("notice", "Notice")], max_length=10
                    ),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("critical", "Critical"), ("major", "Major"), ("minor", "Minor")],
                        default="major",
                        max_length=10,
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("detected_at", models.DateTimeField(blank=True, null=True)),
                ("restored_at", models.DateTimeField(blank=True, null=True)),
                ("planned", models.BooleanField(default=False)),
                ("withdrawn", models.BooleanField(default=False)),
                ("components", models.JSONField(default=list)),
                ("recorded_at", models.DateTimeField()),
                ("superseded_at", models.DateTimeField(null=True)),
                (
                    "cause_confirmed_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "caused_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.environment",
                    ),
                ),
                (
                    "fix_confirmed_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "fixed_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="revisions", to="deployments.incident"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "indexes": [
                    models.Index(fields=["product", "started_at"], name="incident_revision_by_start"),
                    models.Index(
                        condition=models.Q(("superseded_at", None)),
                        fields=["product", "started_at"],
                        name="incident_revision_last",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("restored_at", None), ("started_at__lte", models.F("restored_at")), _connector="OR"
                        ),
                        name="incidentrevision_starts_before_it_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("detected_at", None), ("started_at__lte", models.F("detected_at")), _connector="OR"
                        ),
                        name="incidentrevision_starts_before_it_is_seen",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("cause_confirmed_by", None), ("caused_by", None)),
                            models.Q(("cause_confirmed_by__isnull", False), ("caused_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="incidentrevision_cause_is_confirmed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("fix_confirmed_by", None), ("fixed_by", None)),
                            models.Q(("fix_confirmed_by__isnull", False), ("fixed_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="incidentrevision_fix_is_confirmed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("superseded_at", None), ("recorded_at__lte", models.F("superseded_at")), _connector="OR"
                        ),
                        name="incident_is_corrected_after_it_is_recorded",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("superseded_at", None)),
                        fields=("incident",),
                        name="one_last_revision_an_incident",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UnregisteredDigest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "digest",
                    models.CharField(
                        max_length=71,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^sha256:[0-9a-f]{64}\\Z", "Write it as sha256: and 64 hexadecimal digits."
                            )
                        ],
                    ),
                ),
                ("succeeded_at", models.DateTimeField(null=True)),
                (
                    "deployment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="unregistered",
                        to="deployments.deployment",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.environment",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.product",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("succeeded_at__isnull", False)),
                        fields=["product", "environment", "-succeeded_at", "-id"],
                        name="unregistered_digest_latest",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("deployment", "digest"), name="unregistered_digest_once_in_a_deployment"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="deployment",
            name="builds",
            field=models.ManyToManyField(
                related_name="deployments", through="deployments.DeployedBuild", to="releases.build"
            ),
        ),
    ]
