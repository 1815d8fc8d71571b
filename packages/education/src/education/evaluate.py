"""Judge a saved run on new labelled data: python -m education.evaluate run=FOLDER data=table data.path=FILE."""

import education

if __name__ == "__main__":
    education.evaluate.main()
