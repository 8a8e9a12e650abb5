"""Release models say what fires by itself and how long a pre-approval holds; products have documents to inherit."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from releasemgmt.catalog import shipped


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0002_shipped"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
                "constraints": [models.UniqueConstraint(fields=("product", "kind"), name="document_once_in_a_product")],
            },
        ),
        migrations.AddField(
            model_name="releasemodel",
            name="by_itself",
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name="releasemodel",
            name="fail_rate_ceiling",
            field=models.PositiveSmallIntegerField(
                default=15,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)],
            ),
        ),
        migrations.AddField(
            model_name="releasemodel",
            name="pre_approval_days",
            field=models.PositiveSmallIntegerField(
                default=90,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(366)],
            ),
        ),
        migrations.AddConstraint(
            model_name="releasemodel",
            constraint=models.CheckConstraint(
                condition=models.Q(("pre_approval_days__gte", 1), ("pre_approval_days__lte", 366)),
                name="a_pre_approval_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="releasemodel",
            constraint=models.CheckConstraint(
                condition=models.Q(("fail_rate_ceiling__gte", 1), ("fail_rate_ceiling__lte", 100)),
                name="fail_rate_ceiling_in_percent",
            ),
        ),
        migrations.RunPython(shipped.insert, migrations.RunPython.noop),
    ]
