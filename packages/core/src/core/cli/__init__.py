"""The applications every domain shares, their help, and how errors reach the user."""
