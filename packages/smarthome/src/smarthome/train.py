"""Fine-tune a scene-control model: python -m smarthome.train task=commands."""

from core.app import callable_module, train
from smarthome import DOMAIN

main = train(DOMAIN).main
callable_module(__name__)

if __name__ == "__main__":
    main()
