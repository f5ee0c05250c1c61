"""The journal in SQLite: one directory per host, shared by all processes there."""

from virtnetplug.adapters.sqlite.directory import default_directory
from virtnetplug.adapters.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal", "default_directory"]
