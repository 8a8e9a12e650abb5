"""The shop of the deployments' tests: figures are made of what is done there."""

from tests.deployments.conftest import shop

__all__ = ["shop"]
