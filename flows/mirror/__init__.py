"""A workspace in an object store, which a folder of this machine mirrors. See docs/object-store.md."""

from flows.mirror.keeper import kept_below, refresh, refuse
from flows.mirror.parts import mirrored
from flows.mirror.places import ENVIRONMENT, folder_of, is_url, root_of, url_of

__all__ = ["ENVIRONMENT", "folder_of", "is_url", "kept_below", "mirrored", "refresh", "refuse", "root_of", "url_of"]
