import pytest
pytestmark = pytest.mark.asyncio(loop_scope="module")

@pytest.mark.parametrize("n", range(40))
async def test_x(api, n):
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    trail = await api.make_trail(flow["id"])
    await api.attest(trail["id"])
    assert await api.status_of(trail["id"]) == "COMPLIANT"
