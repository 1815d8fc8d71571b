"""Set finished runs beside each other: python -m education.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

import education

if __name__ == "__main__":
    education.compare.main()
