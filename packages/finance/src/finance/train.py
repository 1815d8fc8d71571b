"""Fine-tune a fraud model: python -m finance.train task=fraud."""

from core.app import callable_module, train
from finance import DOMAIN

main = train(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
