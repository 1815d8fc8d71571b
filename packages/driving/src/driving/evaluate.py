"""Judge a saved run on new labelled data: python -m driving.evaluate run=FOLDER data=table data.path=FILE."""

import driving

if __name__ == "__main__":
    driving.evaluate.main()
