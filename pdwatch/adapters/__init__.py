"""The edge: files, Docker and Kubernetes behind the ports."""
