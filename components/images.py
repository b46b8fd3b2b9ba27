"""Image names, one per dependency set. LAKELOOP_IMAGES, at compile time, says where nodes pull them from."""

import os

VERSION = "0.1.0"
PREFIX = os.environ.get("LAKELOOP_IMAGES", "lakeloop")
SPARK = f"{PREFIX}/spark:{VERSION}"
TRAIN = f"{PREFIX}/train:{VERSION}"
DEPLOY = f"{PREFIX}/deploy:{VERSION}"
DISTRIBUTED = f"{PREFIX}/distributed:{VERSION}"
