"""Answer rows over HTTP: python -m education.serve run=FOLDER port=8000."""

import education

if __name__ == "__main__":
    education.serve.main()
