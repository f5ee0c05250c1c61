"""Finish or undo what was left open, and return what nobody uses."""
