"""`make images`: build what changed, print sizes. Arguments: names of image sets, default all."""

import sys

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs
from scripts.images.build import build_all

if __name__ == "__main__":
    try:
        build_all(Programs(), sys.argv[1:])
    except LakeloopError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
