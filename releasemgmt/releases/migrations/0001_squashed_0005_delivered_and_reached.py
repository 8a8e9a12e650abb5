"""What the migrations up to 0005 make of an empty database, in one step."""

import django.core.validators
import django.db.models.deletion
import django_fsm
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [
        ("releases", "0001_initial"),
        ("releases", "0002_held_up"),
        ("releases", "0003_lead_times"),
        ("releases", "0004_figures_by_columns"),
        ("releases", "0005_delivered_and_reached"),
    ]

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("catalog", "0001_squashed_0004_promotion"),
    ]

    operations = [
        migrations.CreateModel(
            name="Build",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "commit_sha",
                    models.CharField(
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{40}([0-9a-f]{24})?\\Z",
                                "Write the full commit hash, 40 or 64 hexadecimal digits.",
                            )
                        ],
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        blank=True,
                        max_length=71,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^sha256:[0-9a-f]{64}\\Z", "Write it as sha256: and 64 hexadecimal digits."
                            )
                        ],
                    ),
                ),
                ("artifact_uri", models.CharField(max_length=1000)),
                ("built_at", models.DateTimeField()),
                ("ci_url", models.URLField(blank=True, max_length=1000)),
                (
                    "status",
                    models.CharField(
                        choices=[("succeeded", "Succeeded"), ("failed", "Failed")], default="succeeded", max_length=10
                    ),
                ),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "component",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="builds", to="catalog.component"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="builds", to="catalog.product"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["product", "-built_at", "-id"], name="build_list"),
                    models.Index(fields=["digest"], name="build_digest"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("component", "artifact_uri"), name="build_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("digest", ""), _negated=True),
                        fields=("component", "digest"),
                        name="build_digest_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("digest", ""), ("status", "failed")),
                            models.Q(("digest__startswith", "sha256:"), ("status", "succeeded")),
                            _connector="OR",
                        ),
                        name="build_succeeded_iff_it_has_a_digest",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="KnownDefect",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("entered_by", models.CharField(default="", editable=False, max_length=40)),
                ("title", models.CharField(max_length=200)),
                ("symptom", models.TextField(blank=True)),
                ("cause", models.TextField(blank=True)),
                ("workaround", models.TextField(blank=True)),
                (
                    "severity",
                    models.CharField(
                        choices=[
                            ("blocker", "Blocker"),
                            ("critical", "Critical"),
                            ("major", "Major"),
                            ("minor", "Minor"),
                            ("trivial", "Trivial"),
                        ],
                        default="minor",
                        max_length=10,
                    ),
                ),
                ("external_reference", models.CharField(blank=True, max_length=500)),
                ("opened_at", models.DateTimeField(null=True)),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("open", "Open"),
                            ("workaround_available", "Workaround available"),
                            ("fixed", "Fixed"),
                            ("verified", "Verified"),
                            ("closed", "Closed"),
                            ("rejected", "Rejected"),
                        ],
                        default="open",
                        editable=False,
                        max_length=40,
                        protected=True,
                    ),
                ),
                (
                    "component",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="known_defects",
                        to="catalog.component",
                    ),
                ),
                (
                    "detected_in",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="catalog.environment",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="known_defects", to="catalog.product"
                    ),
                ),
                (
                    "reported_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("imported", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="defect_list"),
                    models.Index(fields=["product", "state", "-created_at", "-id"], name="defect_list_by_product"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("imported", True), ("opened_at__isnull", False), _connector="OR"),
                        name="defect_opened_at_a_time",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TestRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("build_set", models.CharField(max_length=64)),
                (
                    "suite",
                    models.CharField(
                        choices=[
                            ("smoke", "Smoke"),
                            ("integration", "Integration"),
                            ("regression", "Regression"),
                            ("acceptance", "Acceptance"),
                            ("performance", "Performance"),
                            ("security", "Security"),
                        ],
                        max_length=20,
                    ),
                ),
                ("passed", models.PositiveIntegerField()),
                ("failed", models.PositiveIntegerField()),
                ("errors", models.PositiveIntegerField()),
                ("skipped", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                ("report_digest", models.CharField(blank=True, max_length=71)),
                ("failures", models.JSONField(default=list)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                ("builds", models.ManyToManyField(related_name="test_runs", to="releases.build")),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="test_runs", to="catalog.environment"
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="test_runs", to="catalog.product"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["build_set", "suite", "-finished_at", "-id"], name="test_run_latest"),
                    models.Index(fields=["product", "-finished_at", "-id"], name="test_run_list"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("started_at__lte", models.F("finished_at"))),
                        name="test_run_starts_before_end",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.PositiveIntegerField(default=1, editable=False)),
                ("event_seq", models.PositiveBigIntegerField(default=0, editable=False)),
                ("event_hash", models.CharField(default="", editable=False, max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("entered_by", models.CharField(default="", editable=False, max_length=40)),
                ("version", models.CharField(max_length=100)),
                ("title", models.CharField(blank=True, max_length=200)),
                ("description", models.TextField(blank=True)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("major", "Major"),
                            ("minor", "Minor"),
                            ("patch", "Patch"),
                            ("emergency", "Emergency"),
                        ],
                        default="minor",
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    django_fsm.FSMField(
                        choices=[
                            ("planned", "Planned"),
                            ("built", "Built"),
                            ("integration_tested", "Integration-tested"),
                            ("accepted", "Accepted"),
                            ("deployed", "Deployed"),
                            ("closed", "Closed"),
                            ("rolled_back", "Rolled back"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="planned",
                        editable=False,
                        max_length=40,
                        protected=True,
                    ),
                ),
                ("target_date", models.DateField(blank=True, null=True)),
                ("planned_start", models.DateTimeField(blank=True, null=True)),
                ("planned_end", models.DateTimeField(blank=True, null=True)),
                (
                    "database_change",
                    models.CharField(
                        choices=[("none", "None"), ("reversible", "Reversible"), ("irreversible", "Irreversible")],
                        default="none",
                        max_length=12,
                    ),
                ),
                ("train", models.CharField(blank=True, max_length=100)),
                ("on_hold", models.BooleanField(default=False)),
                ("hold_reason", models.CharField(blank=True, max_length=500)),
                (
                    "risk",
                    models.CharField(
                        choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")], default="low", max_length=10
                    ),
                ),
                ("cycle", models.PositiveIntegerField(default=1)),
                ("review", models.TextField(blank=True)),
                ("imported", models.BooleanField(default=False)),
                ("released_at", models.DateTimeField(blank=True, null=True)),
                ("builds", models.ManyToManyField(blank=True, related_name="releases", to="releases.build")),
                ("components", models.ManyToManyField(blank=True, related_name="releases", to="catalog.component")),
                (
                    "created_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("depends_on", models.ManyToManyField(blank=True, related_name="dependants", to="releases.release")),
                (
                    "model",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="releases",
                        to="catalog.releasemodel",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="releases", to="catalog.product"
                    ),
                ),
                (
                    "release_manager",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("held_up_at", models.DateTimeField(editable=False, null=True)),
                ("held_up_heads", models.PositiveBigIntegerField(editable=False, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="release_list"),
                    models.Index(fields=["state", "-created_at", "-id"], name="release_list_by_state"),
                    models.Index(fields=["product", "-created_at", "-id"], name="release_list_by_product"),
                    models.Index(fields=["model", "state"], name="release_by_model"),
                    models.Index(
                        condition=models.Q(("released_at__isnull", False)),
                        fields=["product", "released_at"],
                        name="release_reached",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("product", "version"), name="version_once_in_a_product"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("on_hold", False), models.Q(("hold_reason", ""), _negated=True), _connector="OR"
                        ),
                        name="release_on_hold_has_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("planned_start", None),
                            ("planned_end", None),
                            ("planned_start__lt", models.F("planned_end")),
                            _connector="OR",
                        ),
                        name="release_starts_before_it_ends",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MissingCommit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "sha",
                    models.CharField(
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{40}([0-9a-f]{24})?\\Z",
                                "Write the full commit hash, 40 or 64 hexadecimal digits.",
                            )
                        ],
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="missing_commits",
                        to="catalog.product",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="missing_commits",
                        to="releases.release",
                    ),
                ),
                ("released_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("product", "sha"), name="missing_commit_once_in_a_product")
                ]
            },
        ),
        migrations.CreateModel(
            name="Exposure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("audience", models.CharField(default="everyone", max_length=100)),
                ("percent", models.PositiveSmallIntegerField()),
                ("flag_key", models.CharField(blank=True, max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
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
                        on_delete=django.db.models.deletion.PROTECT, related_name="exposures", to="releases.release"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "id"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("percent__lte", 100)), name="exposure_is_a_percentage")
                ],
            },
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("deployment_procedure", "Deployment procedure"),
                            ("workflow_monitoring", "Workflow monitoring"),
                            ("impact", "Impact"),
                            ("release_notes", "Release notes"),
                        ],
                        max_length=30,
                    ),
                ),
                ("body", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "updated_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="documents", to="releases.release"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("release", "kind"), name="document_once_in_a_release")]
            },
        ),
        migrations.CreateModel(
            name="DefectLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "relation",
                    models.CharField(
                        choices=[("affects", "Affects"), ("fixed_in", "Fixed in"), ("introduced_by", "Introduced by")],
                        default="affects",
                        max_length=20,
                    ),
                ),
                (
                    "disposition",
                    models.CharField(
                        choices=[("must_fix", "Must be fixed"), ("accepted", "Accepted"), ("deferred", "Deferred")],
                        default="must_fix",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True)),
                ("accepted_until", models.DateTimeField(blank=True, null=True)),
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
                    "defect",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="release_links",
                        to="releases.knowndefect",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="defect_links", to="releases.release"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("release", "defect", "relation"), name="defect_once_in_a_release"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("disposition", "accepted"), _negated=True),
                            models.Q(
                                models.Q(("reason", ""), _negated=True),
                                ("accepted_until__isnull", False),
                                ("decided_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="accepted_defect_says_why_and_until_when",
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="Commit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "sha",
                    models.CharField(
                        max_length=64,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[0-9a-f]{40}([0-9a-f]{24})?\\Z",
                                "Write the full commit hash, 40 or 64 hexadecimal digits.",
                            )
                        ],
                    ),
                ),
                ("parents", models.JSONField(default=list)),
                ("authored_at", models.DateTimeField()),
                ("committed_at", models.DateTimeField()),
                ("author", models.CharField(blank=True, max_length=320)),
                ("is_merge", models.BooleanField(default=False)),
                ("is_bot", models.BooleanField(default=False)),
                ("subject", models.CharField(blank=True, max_length=500)),
                ("work_items", models.JSONField(default=list)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "product",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="commits",
                        to="catalog.product",
                    ),
                ),
                (
                    "first_release",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="first_commits",
                        to="releases.release",
                    ),
                ),
                ("in_baseline", models.BooleanField(default=False)),
                ("lead_seconds", models.BigIntegerField(null=True)),
                ("owned_since", models.DateTimeField(null=True)),
                ("released_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["product", "first_release"], name="commit_unreleased"),
                    models.Index(fields=["first_release", "authored_at"], name="commit_of_a_release"),
                    models.Index(
                        condition=models.Q(("is_bot", False), ("is_merge", False)),
                        fields=["product", "committed_at"],
                        name="commit_made",
                    ),
                    models.Index(fields=["product", "released_at"], name="commit_reached"),
                    models.Index(
                        condition=models.Q(("is_bot", False), ("is_merge", False)),
                        fields=["product", "authored_at"],
                        name="commit_written",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("is_bot", False),
                            ("is_merge", False),
                            ("in_baseline", False),
                            ("lead_seconds__isnull", False),
                        ),
                        fields=["product", "released_at", "committed_at", "lead_seconds"],
                        name="commit_delivered",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("product", "sha"), name="commit_once_in_a_product"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("first_release__isnull", False),
                                ("lead_seconds__isnull", False),
                                ("owned_since__isnull", False),
                                ("released_at__isnull", False),
                            ),
                            models.Q(
                                ("first_release", None),
                                ("in_baseline", False),
                                ("lead_seconds", None),
                                ("owned_since", None),
                                ("released_at", None),
                            ),
                            _connector="OR",
                        ),
                        name="commit_released_at_a_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReleaseCommit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "commit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="release_commits",
                        to="releases.commit",
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="release_commits",
                        to="releases.release",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("release", "commit"), name="commit_once_in_a_release")]
            },
        ),
        migrations.CreateModel(
            name="FormerOwner",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("released_at", models.DateTimeField()),
                ("lead_seconds", models.BigIntegerField()),
                ("in_baseline", models.BooleanField(default=False)),
                ("owned_since", models.DateTimeField()),
                ("owned_until", models.DateTimeField()),
                (
                    "commit",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="former_owners", to="releases.commit"
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="releases.release"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("owned_since__lte", models.F("owned_until"))),
                        name="owned_since_before_until",
                    )
                ]
            },
        ),
        migrations.AddField(
            model_name="release",
            name="commits",
            field=models.ManyToManyField(
                related_name="releases", through="releases.ReleaseCommit", to="releases.commit"
            ),
        ),
    ]
