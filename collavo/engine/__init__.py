"""The one evaluation loop and what it needs."""
