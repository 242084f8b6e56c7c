"""Ask about a campaign's newest round: ``python -m emberline.campaign.panels CAMPAIGN``, started beside a round."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from emberline.campaign.panels.jobs import CONTEXT, ContextParameters
from emberline.errors import EmberlineError
from emberline.jobs import run_foreground


def main() -> int:
    """Do the job ``context`` in this process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    log = logging.getLogger("emberline.campaign.panels")
    try:
        outcome = run_foreground(CONTEXT, ContextParameters(Path(sys.argv[1])))
    except EmberlineError as error:
        log.error("%s", error)
        return 1
    log.info("%s", outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
