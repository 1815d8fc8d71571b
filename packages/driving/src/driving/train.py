"""Fine-tune a perception model: python -m driving.train task=signs."""

import driving

if __name__ == "__main__":
    driving.train.main()
