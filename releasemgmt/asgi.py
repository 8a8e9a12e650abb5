"""The ASGI application, for hosts that want one; WSGI is what is measured and shipped."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "releasemgmt.settings")

application = get_asgi_application()
