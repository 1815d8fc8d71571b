"""Fine-tune a fraud model: python -m finance.train task=fraud."""

import finance

if __name__ == "__main__":
    finance.train.main()
