"""What forbids an operation, gathered before anything is touched."""
