"""What `virtnetplug demo` shows, and the small VM it shows it on."""
