"""Whether groups of people are served alike: what differs, by how much, and whether chance explains it."""
