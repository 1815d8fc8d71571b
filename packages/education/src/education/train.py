"""Fine-tune a grading model: python -m education.train task=answers."""

from core.app import callable_module, train
from education import DOMAIN

main = train(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
