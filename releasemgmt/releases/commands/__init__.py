"""What can be done with releases, one noun a file."""

from releasemgmt.releases.commands.commits import claim_commits, refresh_commits, send_commits

__all__ = ["claim_commits", "refresh_commits", "send_commits"]
