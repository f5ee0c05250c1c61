"""Who takes whose identity: hand-over, hand-back and policies."""
