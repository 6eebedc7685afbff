"""pytest-mailtrip: YAML round trips as pytest items."""
