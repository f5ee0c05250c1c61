"""``contrib/lab`` runs from its own directory, with nothing installed: so it is found here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "contrib" / "lab"))
