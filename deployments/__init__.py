"""Deployment plans, deployments, and what runs where."""
