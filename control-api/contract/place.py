"""Places, reads and ends a call by the client that was made of the public document. Arguments: where the API is, a server key."""

import sys

sys.path[:0] = ["control-api/contract/made/public", "control-api/contract/made/admin"]

import control_api_admin_api_client.models  # noqa: E402, F401
from control_api_client import AuthenticatedClient  # noqa: E402
from control_api_client.api.calls import create, end, list_, read  # noqa: E402
from control_api_client.models import CallList, CallView, CreateCall, ProblemDetails  # noqa: E402

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
wanted = CreateCall(from_number="+918047123456", to_number="9876543210", agent_number="9876543211", uuid="python")
placed = create.sync(client=client, body=wanted)
assert isinstance(placed, CallView), placed
found = read.sync(client=client, call_id=str(placed.call_id))
assert isinstance(found, CallView) and found.uuid == "python", found
listed = list_.sync(client=client, uuid="python")
assert isinstance(listed, CallList) and len(listed.calls) == 1, listed
wrong = create.sync(client=client, body=CreateCall(from_number="+918047123456", to_number="112", agent_number="9876543211"))
assert isinstance(wrong, ProblemDetails) and wrong.code == "invalid_number", wrong
assert end.sync_detailed(client=client, call_id=str(placed.call_id)).status_code == 204
