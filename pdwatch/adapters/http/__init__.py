"""The daemon's HTTP endpoint (docs/http.md), and what reads it."""
