"""Names of the classes of the public data sets, and those of vulnerable road users and of the right of way."""

from __future__ import annotations

SIGN_CLASSES = (
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
SCENE_CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
"""The 11 classes of CamVid in the order of their numbers in SegNet's version (Badrinarayanan et al. 2015)."""
VULNERABLE = ("pedestrians", "children", "bicycles", "pedestrian", "bicyclist")
"""Classes of, or signs that warn of, vulnerable road users (people without a vehicle's protection)."""
RIGHT_OF_WAY = ("stop", "yield", "no entry")
"""Signs that give others the right of way."""
