"""Fine-tune a diagnosis model: python -m healthcare.train task=records."""

from core.app import callable_module, train
from healthcare import DOMAIN

main = train(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
