"""Models for programs that have their own JSON files: ``get_response`` and what belongs to it (R-CFG)."""
