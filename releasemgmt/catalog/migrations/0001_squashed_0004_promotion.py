"""What the migrations up to 0004 make of an empty database, in one step."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import releasemgmt.workflow.models
from releasemgmt.catalog import shipped


class Migration(migrations.Migration):
    replaces = [
        ("catalog", "0001_initial"),
        ("catalog", "0002_shipped"),
        ("catalog", "0003_by_itself_and_inherited"),
        ("catalog", "0004_promotion"),
    ]

    initial = True

    dependencies = [("accounts", "0001_squashed_0005_groups_of_a_provider")]

    operations = [
        migrations.CreateModel(
            name="Environment",
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
                ("rank", models.PositiveSmallIntegerField()),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", max_length=64, validators=[releasemgmt.workflow.models.time_zone_exists]
                    ),
                ),
                ("change_controlled", models.BooleanField(default=True)),
            ],
            options={"ordering": ["rank", "key"]},
        ),
        migrations.CreateModel(
            name="ReleaseModel",
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
                ("suites", models.JSONField(blank=True, default=list)),
                ("documents", models.JSONField(blank=True, default=list)),
                (
                    "sign_off",
                    models.CharField(
                        choices=[("round", "A round of approval"), ("pre_approved", "Pre-approved")],
                        default="round",
                        max_length=20,
                    ),
                ),
                (
                    "review",
                    models.CharField(
                        choices=[("always", "Always"), ("after_trouble", "After trouble"), ("never", "Never")],
                        default="after_trouble",
                        max_length=20,
                    ),
                ),
                (
                    "exposure",
                    models.CharField(
                        choices=[("with_deployment", "With the deployment"), ("separate", "Separate")],
                        default="with_deployment",
                        max_length=20,
                    ),
                ),
                ("smoke_in_target", models.BooleanField(default=False)),
                ("by_itself", models.JSONField(blank=True, default=list)),
                (
                    "fail_rate_ceiling",
                    models.PositiveSmallIntegerField(
                        default=15,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(100),
                        ],
                    ),
                ),
                (
                    "pre_approval_days",
                    models.PositiveSmallIntegerField(
                        default=90,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(366),
                        ],
                    ),
                ),
            ],
            options={
                "ordering": ["key", "-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("key", "version"), name="release_model_version_once"),
                    models.CheckConstraint(
                        condition=models.Q(("pre_approval_days__gte", 1), ("pre_approval_days__lte", 366)),
                        name="a_pre_approval_ends",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("fail_rate_ceiling__gte", 1), ("fail_rate_ceiling__lte", 100)),
                        name="fail_rate_ceiling_in_percent",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Product",
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
                    "time_zone",
                    models.CharField(
                        default="UTC", max_length=64, validators=[releasemgmt.workflow.models.time_zone_exists]
                    ),
                ),
                ("repository_url", models.URLField(blank=True, max_length=500)),
                ("environments", models.ManyToManyField(blank=True, related_name="products", to="catalog.environment")),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="products", to="accounts.team"
                    ),
                ),
                (
                    "default_model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="catalog.releasemodel"
                    ),
                ),
                ("promotion_required", models.BooleanField(db_default=False, default=False)),
                (
                    "soak_minutes",
                    models.PositiveIntegerField(
                        db_default=0, default=0, validators=[django.core.validators.MaxValueValidator(43200)]
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("soak_minutes__lte", 43200)), name="a_soak_ends")
                ],
            },
        ),
        migrations.CreateModel(
            name="Component",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key",
                    models.CharField(
                        max_length=60,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9-]*$", "Use lower-case letters, digits and hyphens."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="components", to="catalog.product"
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
                "constraints": [
                    models.UniqueConstraint(fields=("product", "key"), name="component_once_in_a_product"),
                    models.CheckConstraint(condition=models.Q(("key", ""), _negated=True), name="component_has_a_key"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProductDocument",
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
                    "product",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="documents", to="catalog.product"
                    ),
                ),
                (
                    "updated_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("product", "kind"), name="document_once_in_a_product")]
            },
        ),
        migrations.RunPython(shipped.insert, migrations.RunPython.noop),
    ]
