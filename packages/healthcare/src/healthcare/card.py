"""Write a finished run's documents again: python -m healthcare.card run=FOLDER."""

import healthcare

if __name__ == "__main__":
    healthcare.card.main()
