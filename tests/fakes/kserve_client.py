"""Runs in the kserve SDK's own environment: asks a predictor by each of the SDK's clients.

Reads JSON on standard input (url, grpc, name, token, columns: {name: [values]}, types) and writes
`{form: scores}`.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

NUMPY = {"FP64": np.float64, "FP32": np.float32, "INT32": np.int32, "BYTES": np.object_}


def infer_request(asked: dict[str, Any], *, binary: bool) -> InferRequest:
    inputs = []
    for name, values in asked["columns"].items():
        datatype = asked["types"][name]
        tensor = InferInput(name, [len(values)], datatype)
        if binary:
            tensor.set_data_from_numpy(np.array(values, dtype=NUMPY[datatype]), binary_data=True)
        else:
            tensor.data = list(values)
        inputs.append(tensor)
    return InferRequest(asked["name"], inputs, request_id="mine")


def scores(response: Any) -> list[float]:
    assert (response.id, response.model_name) == ("mine", "fraud")
    (output,) = [output for output in response.outputs if output.name == "score"]
    return [float(value) for value in output.as_numpy()]


async def by_rest(asked: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    url, name, columns = asked["url"], asked["name"], asked["columns"]
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await v1.is_server_live(url)
    assert await v1.is_model_ready(url, name)
    assert await v2.is_server_live(url)
    assert await v2.is_server_ready(url)
    assert await v2.is_model_ready(url, name)
    objects = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    lists = [list(row.values()) for row in objects]
    told: dict[str, Any] = {}
    for form, instances in (("v1 objects", objects), ("v1 lists", lists)):
        answer = await v1.infer(url, {"instances": instances}, model_name=name, headers=dict(headers))
        told[form] = answer["predictions"]
    for form, binary in (("v2", False), ("v2 binary", True)):
        answer = await v2.infer(url, infer_request(asked, binary=binary), name, headers=dict(headers))
        told[form] = scores(answer)
    await v1.close()
    await v2.close()
    return told


async def by_grpc(asked: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    async with InferenceGRPCClient(asked["grpc"]) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(asked["name"])
        metadata = list(headers.items())
        return {
            form: scores(await client.infer(infer_request(asked, binary=binary), headers=metadata))
            for form, binary in (("gRPC", False), ("gRPC raw", True))
        }


async def main() -> None:
    asked = json.load(sys.stdin)
    headers = {"authorization": f"Bearer {asked['token']}"}
    json.dump({**await by_rest(asked, headers), **await by_grpc(asked, headers)}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
