"""What one call works with: the ports of its host, its locks and its waits."""
