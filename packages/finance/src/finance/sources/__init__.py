"""Known public sets in their published layout, and tables of one's own."""
