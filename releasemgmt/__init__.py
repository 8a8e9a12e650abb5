"""The Django project and the platform's own apps; approvals/ and deployments/ stand beside it."""
