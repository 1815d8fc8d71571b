"""Public data sets, read in their published layout from a path that the user gives or below PLINTH_DATA."""
