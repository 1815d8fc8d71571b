"""Fine-tune a grading model: python -m education.train task=answers."""

import education

if __name__ == "__main__":
    education.train.main()
