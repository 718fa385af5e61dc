"""What requests for usage ask."""

from dataclasses import replace

import pytest
from i2v.v1 import usage_pb2

from services.errors import PermissionDenied
from services.orchestrator.api import usage_requests
from services.orchestrator.domain.usage import Owner
from tests.support.builders import NOON, a_caller

BY_USER = usage_pb2.QueryUsageRequest.USER
BY_TOKEN = replace(a_caller(), key="")
BY_KEY = replace(a_caller(), key="k1")


def test_a_key_may_ask_for_all_users_and_a_token_only_for_its_own() -> None:
    assert usage_requests.owner(BY_KEY, whole_tenant=True) == Owner("studio", None)
    assert usage_requests.owner(BY_TOKEN, whole_tenant=False) == Owner("studio", "ann")
    with pytest.raises(PermissionDenied):
        usage_requests.owner(BY_TOKEN, whole_tenant=True)
    with pytest.raises(PermissionDenied):
        usage_requests.query(usage_pb2.QueryUsageRequest(group_by=[BY_USER], whole_tenant=True), BY_TOKEN, NOON)


def test_another_user_cannot_be_asked_for_with_a_token() -> None:
    request = usage_pb2.ListLedgerEntriesRequest(user="bob", whole_tenant=True)
    with pytest.raises(PermissionDenied):
        usage_requests.entries(request, BY_TOKEN)
    assert usage_requests.entries(request, BY_KEY)[0] == Owner("studio", "bob")
