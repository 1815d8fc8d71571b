"""Report: the record, its schema, plots and the page."""
