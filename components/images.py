"""Image names, one per dependency set. A pipeline names them; a cluster's overlay may point them elsewhere."""

VERSION = "0.1.0"
SPARK = f"lakeloop/spark:{VERSION}"
TRAIN = f"lakeloop/train:{VERSION}"
DEPLOY = f"lakeloop/deploy:{VERSION}"
DISTRIBUTED = f"lakeloop/distributed:{VERSION}"
