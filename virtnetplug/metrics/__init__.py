"""Metrics for Prometheus, computed from the journal at each scrape: nothing else counts anything."""

from __future__ import annotations

from virtnetplug.metrics.collector import exposition
from virtnetplug.metrics.server import Server, serve

__all__ = ["Server", "exposition", "serve"]
