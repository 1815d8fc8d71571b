"""Write a finished run's documents again: python -m education.card run=FOLDER."""

import education

if __name__ == "__main__":
    education.card.main()
