"""The operations on one domain: attach, detach, update, rebind, heal."""
