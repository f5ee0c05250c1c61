"""Vifs of Xen guests: what xenstore says of them, and dom0's drivers."""
