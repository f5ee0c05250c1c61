"""Where the views of a NIC disagree, and the repairs."""
