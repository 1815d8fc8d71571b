"""Checks of a dataset before anything is trained: of columns, of all rows, of the split."""
