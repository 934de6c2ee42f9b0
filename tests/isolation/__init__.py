"""Training apart from deployment."""
