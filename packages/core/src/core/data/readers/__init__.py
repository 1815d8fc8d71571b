"""Readers of files, one a kind of file: where a file is, what its bytes are, and the rows in it."""
