"""The nouns of a deployment, one a file."""

from deployments.models.deployment import DeployedBuild, Deployment
from deployments.models.plan import DeploymentPlan
from deployments.models.task import DeploymentTask

__all__ = ["DeployedBuild", "Deployment", "DeploymentPlan", "DeploymentTask"]
