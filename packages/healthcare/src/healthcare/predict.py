"""Predict raw rows: python -m healthcare.predict run=FOLDER input=FILE output=FILE."""

import healthcare

if __name__ == "__main__":
    healthcare.predict.main()
