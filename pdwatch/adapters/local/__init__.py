"""This machine in the place of Docker and a cluster: each workflow's engine is a child process."""
