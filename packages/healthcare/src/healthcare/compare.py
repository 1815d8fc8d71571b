"""Set finished runs beside each other: python -m healthcare.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

import healthcare

if __name__ == "__main__":
    healthcare.compare.main()
