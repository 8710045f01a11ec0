"""`python -m training.render`."""

import os

# Matrices here are 3 x 3: BLAS threads only wait for one another. Must be set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from training.render.cli import app

if __name__ == "__main__":
    app()
