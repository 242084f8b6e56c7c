"""``python -m emberline``, and the file that ``spark-submit`` is given."""

import os
import sys

# A script's own folder comes first where modules are looked for; ours has modules with everyday names.
sys.path[:] = [
    path for path in sys.path if os.path.abspath(path or os.curdir) != os.path.dirname(os.path.abspath(__file__))
]

if __name__ == "__main__":
    from emberline.cli import main

    main()
