"""Users, teams, roles, service accounts and API tokens."""
