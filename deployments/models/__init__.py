"""The nouns of a deployment, one a file."""

from deployments.models.call import WebhookCall
from deployments.models.deployment import DeployedBuild, Deployment, UnregisteredDigest
from deployments.models.endpoint import WebhookEndpoint
from deployments.models.incident import Incident, IncidentFacts, IncidentRevision
from deployments.models.lookup import ArtifactLookup
from deployments.models.observation import Observation
from deployments.models.override import LineStop, Resumption, WindowOverride
from deployments.models.plan import DeploymentPlan
from deployments.models.preparation import PreparationItem, PreparationKind, Verification
from deployments.models.quarantine import QuarantinedRow
from deployments.models.task import DeploymentTask
from deployments.models.window import Occurrence, Window

__all__ = [
    "ArtifactLookup",
    "DeployedBuild",
    "Deployment",
    "DeploymentPlan",
    "DeploymentTask",
    "Incident",
    "IncidentFacts",
    "IncidentRevision",
    "LineStop",
    "Observation",
    "Occurrence",
    "PreparationItem",
    "PreparationKind",
    "QuarantinedRow",
    "Resumption",
    "UnregisteredDigest",
    "Verification",
    "WebhookCall",
    "WebhookEndpoint",
    "Window",
    "WindowOverride",
]
