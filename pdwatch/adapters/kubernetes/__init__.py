"""Kubernetes behind the ports, on kubernetes-asyncio."""
