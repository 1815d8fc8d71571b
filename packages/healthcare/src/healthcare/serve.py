"""Answer rows over HTTP: python -m healthcare.serve run=FOLDER port=8000."""

import healthcare

if __name__ == "__main__":
    healthcare.serve.main()
