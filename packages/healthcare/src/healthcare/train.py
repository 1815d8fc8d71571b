"""Fine-tune a diagnosis model: python -m healthcare.train task=records."""

import healthcare

if __name__ == "__main__":
    healthcare.train.main()
