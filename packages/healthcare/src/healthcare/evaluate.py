"""Judge a saved run on new labelled data: python -m healthcare.evaluate run=FOLDER data=table data.path=FILE."""

import healthcare

if __name__ == "__main__":
    healthcare.evaluate.main()
