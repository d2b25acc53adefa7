"""Authenticated clients for other services: Google, and any REST API that a TOML file describes (R-CRED)."""
