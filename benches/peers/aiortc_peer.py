"""Two peers of aiortc in one process, on the loopback interface: how fast a raw
data channel is, from memory to memory. Argument: how many bytes to send. Prints
one JSON object."""

import asyncio
import json
import os
import sys
import time

from aiortc import RTCPeerConnection

MESSAGE = 64 * 1024
HIGH = 1024 * 1024
LOW = 256 * 1024


async def main(total: int) -> None:
    sender, receiver = RTCPeerConnection(), RTCPeerConnection()
    channel = sender.createDataChannel("bench")
    channel.bufferedAmountLowThreshold = LOW
    message = bytes([0x5A]) * MESSAGE
    begin, left, arrived = 0.0, total, 0

    def send() -> None:
        nonlocal left
        while left > 0 and channel.bufferedAmount < HIGH:
            channel.send(message[: min(left, MESSAGE)])
            left -= min(left, MESSAGE)

    @channel.on("open")
    def opened() -> None:
        nonlocal begin
        begin = time.monotonic()
        send()

    channel.on("bufferedamountlow", send)

    @receiver.on("datachannel")
    def incoming(other) -> None:
        @other.on("message")
        def took(data: bytes) -> None:
            nonlocal arrived
            arrived += len(data)
            if arrived >= total:
                seconds = time.monotonic() - begin
                completed = {"event": "completed", "bytes": arrived, "seconds": seconds}
                print(json.dumps(completed), flush=True)
                # Saying goodbye is no part of it.
                os._exit(0)

    await sender.setLocalDescription(await sender.createOffer())
    await receiver.setRemoteDescription(sender.localDescription)
    await receiver.setLocalDescription(await receiver.createAnswer())
    await sender.setRemoteDescription(receiver.localDescription)
    await asyncio.Event().wait()


asyncio.run(main(int(sys.argv[1])))
