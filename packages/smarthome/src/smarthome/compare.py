"""Set finished runs beside each other: python -m smarthome.compare runs=[A,B].

Writes comparison.html and comparison.csv.
"""

import smarthome

if __name__ == "__main__":
    smarthome.compare.main()
