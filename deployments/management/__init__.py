"""Management commands of deployments."""
