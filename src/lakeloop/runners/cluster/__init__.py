"""Submit the committed pipelines to a cluster, and follow them there."""

from lakeloop.runners.cluster.following import Followed, Following, follow

__all__ = ["Followed", "Following", "follow"]
