"""Fine-tune a scene-control model: python -m smarthome.train task=commands."""

import smarthome

if __name__ == "__main__":
    smarthome.train.main()
