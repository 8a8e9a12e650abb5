"""The policies that know emergencies and pre-approvals."""

from django.db import migrations

from approvals import shipped


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_policies_rounds_delegation")]
    operations = [migrations.RunPython(shipped.insert_emergency, migrations.RunPython.noop)]
