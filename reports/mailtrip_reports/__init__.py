"""One record, many reports."""
