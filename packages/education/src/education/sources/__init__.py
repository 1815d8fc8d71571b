"""Known public sets, read in their published layout from a path the user gives or below PLINTH_DATA."""
