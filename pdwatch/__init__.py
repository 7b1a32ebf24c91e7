"""pdwatch closes the loop between an editor and a Kubernetes cluster for TypeScript workflows."""

__version__ = "0.1.0"
