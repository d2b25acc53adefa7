"""The operator hears of trouble: thresholds are judged, and what is raised goes out once to all who listen."""
