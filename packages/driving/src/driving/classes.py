"""Names of the classes that the public sets number, and which of them protect people outside a car."""

from __future__ import annotations

SIGNS = (
    "speed limit 20", "speed limit 30", "speed limit 50", "speed limit 60", "speed limit 70", "speed limit 80",
    "end of speed limit 80", "speed limit 100", "speed limit 120", "no overtaking", "no overtaking for trucks",
    "priority at next intersection", "priority road", "yield", "stop", "no vehicles", "no trucks", "no entry",
    "general danger", "curve left", "curve right", "double curve", "bumpy road", "slippery road",
    "road narrows right", "road works", "traffic signals", "pedestrians", "children", "bicycles", "snow or ice",
    "wild animals", "end of all limits", "turn right ahead", "turn left ahead", "ahead only", "straight or right",
    "straight or left", "keep right", "keep left", "roundabout", "end of no overtaking",
    "end of no overtaking for trucks",
)  # fmt: skip
"""The 43 classes of GTSRB in the order of their numbers (Stallkamp et al. 2012)."""
SCENE = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
"""The 11 classes of CamVid in the order of their numbers in SegNet's version (Badrinarayanan et al. 2015)."""
VULNERABLE = ("pedestrians", "children", "bicycles", "pedestrian", "bicyclist")
"""Classes that stand for, or warn of, people who have no car around them."""
RIGHT_OF_WAY = ("stop", "yield", "no entry")
"""Signs whose being overlooked puts a car in another's way."""
