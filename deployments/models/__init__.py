"""The nouns of a deployment, one a file."""

from deployments.models.deployment import DeployedBuild, Deployment
from deployments.models.override import LineStop, Resumption, WindowOverride
from deployments.models.plan import DeploymentPlan
from deployments.models.task import DeploymentTask
from deployments.models.window import Occurrence, Window

__all__ = [
    "DeployedBuild",
    "Deployment",
    "DeploymentPlan",
    "DeploymentTask",
    "LineStop",
    "Occurrence",
    "Resumption",
    "Window",
    "WindowOverride",
]
