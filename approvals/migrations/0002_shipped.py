"""The policies that every installation starts with."""

from django.db import migrations

from approvals import shipped


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial")]
    operations = [migrations.RunPython(shipped.insert, migrations.RunPython.noop)]
