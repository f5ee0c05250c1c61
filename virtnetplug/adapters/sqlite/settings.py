"""What the host's owner has said once for all of its domains."""

from __future__ import annotations

from virtnetplug.adapters.sqlite.database import Database
from virtnetplug.errors import JournalNewer
from virtnetplug.model.identity import UnplugPolicy

_UNPLUG_POLICY = "unplug-policy"


def unplug_policy(database: Database) -> UnplugPolicy:
    """That of domains that have none of their own; ``keep`` where it was never set. Raises `JournalNewer` for one not known."""
    found = database.fetch("SELECT value FROM host_settings WHERE name = ?", (_UNPLUG_POLICY,))
    value = found[0]["value"] if found else UnplugPolicy.KEEP.value
    try:
        return UnplugPolicy(value)
    except ValueError:
        raise JournalNewer(
            f"the journal {database.path} has the unplug policy '{value}' for this host, which this virtnetplug does not "
            f"know: a newer one wrote it. Upgrade virtnetplug, or set the policy anew."
        ) from None


def set_unplug_policy(database: Database, policy: UnplugPolicy) -> None:
    """Make it this one."""
    database.write("INSERT OR REPLACE INTO host_settings VALUES (?, ?)", (_UNPLUG_POLICY, policy.value))
