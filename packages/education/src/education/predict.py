"""Predict raw rows: python -m education.predict run=FOLDER input=FILE output=FILE."""

import education

if __name__ == "__main__":
    education.predict.main()
