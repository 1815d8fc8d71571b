"""Set finished runs beside each other: python -m driving.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

import driving

if __name__ == "__main__":
    driving.compare.main()
