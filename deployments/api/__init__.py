"""The REST face of deployments, one noun a file."""
