"""Tests that need nothing of the machine, and nothing of the caller's environment."""

from __future__ import annotations

from tests import environment

environment.clean()
