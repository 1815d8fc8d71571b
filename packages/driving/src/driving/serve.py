"""Answer rows over HTTP: python -m driving.serve run=FOLDER port=8000."""

import driving

if __name__ == "__main__":
    driving.serve.main()
