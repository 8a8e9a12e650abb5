"""The WSGI application that granian serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "releasemgmt.settings")

application = get_wsgi_application()

# What is loaded now lives as long as the process: out of the collector's sight, its pauses stay short.
gc.collect()
gc.freeze()
