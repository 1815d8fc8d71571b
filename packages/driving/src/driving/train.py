"""Fine-tune a perception model: python -m driving.train task=signs."""

from core.app import callable_module, train
from driving import DOMAIN

main = train(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
