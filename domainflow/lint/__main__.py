"""`python -m domainflow.lint PATH...`."""

import sys

from domainflow.lint import main

sys.exit(main(sys.argv[1:]))
