"""The rebind of a PF under its guests."""
