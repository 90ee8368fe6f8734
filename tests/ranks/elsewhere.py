"""Our command on ranks that see different folders, settings or code: ``torchrun … -m tests.ranks.elsewhere WORDS``.

``RANK_1_IN`` names the folder where rank 1 works, as a machine without the shared storage does. Words with ``{rank}``
are different on each rank.
"""

import os
import sys

from actor_critic.cli import main

if __name__ == "__main__":
    if os.environ["RANK"] == "1" and "RANK_1_IN" in os.environ:
        os.chdir(os.environ["RANK_1_IN"])
    sys.argv[1:] = [word.replace("{rank}", os.environ["RANK"]) for word in sys.argv[1:]]
    main()
