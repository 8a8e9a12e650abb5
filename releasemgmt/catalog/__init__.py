"""Products, components, environments and release models."""
