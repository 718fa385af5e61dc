"""The filters of the library's lists: a subset of AIP-160, read into a tree of checked conditions."""

from services.orchestrator.domain.library_filter.parser import parse

__all__ = ["parse"]
