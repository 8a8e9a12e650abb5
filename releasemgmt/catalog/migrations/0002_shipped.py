"""The release model that every installation starts with."""

from django.db import migrations

from releasemgmt.catalog import shipped


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunPython(shipped.insert_normal, migrations.RunPython.noop)]
