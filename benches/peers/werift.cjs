// Two peers of werift (WebRTC in TypeScript) in one process, on the loopback
// interface: how fast a raw data channel is, from memory to memory. Arguments:
// the folder that holds node_modules, and how many bytes to send. Prints one
// JSON object.
'use strict';

const path = require('node:path');

const [, , folder, wanted] = process.argv;
const total = Number(wanted);
const { RTCPeerConnection } = require(path.join(folder, 'node_modules', 'werift'));

const MESSAGE = 64 * 1024;
const HIGH = 1024 * 1024;
const LOW = 256 * 1024;

const options = { iceServers: [], iceUseIpv6: false, iceAdditionalHostAddresses: ['127.0.0.1'] };

async function main() {
  const [sender, receiver] = [new RTCPeerConnection(options), new RTCPeerConnection(options)];
  let begin = 0n;
  let arrived = 0;
  receiver.onDataChannel.subscribe((channel) => {
    channel.onMessage.subscribe((data) => {
      arrived += data.length;
      if (arrived >= total) {
        const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
        console.log(JSON.stringify({ event: 'completed', bytes: arrived, seconds }));
        process.exit(0);
      }
    });
  });

  const channel = sender.createDataChannel('bench');
  const message = Buffer.alloc(MESSAGE, 0x5a);
  let left = total;
  const send = () => {
    while (left > 0 && channel.bufferedAmount < HIGH) {
      channel.send(left < MESSAGE ? message.subarray(0, left) : message);
      left -= Math.min(left, MESSAGE);
    }
  };
  channel.bufferedAmountLowThreshold = LOW;
  channel.bufferedAmountLow.subscribe(send);
  channel.stateChanged.subscribe((state) => {
    if (state === 'open') {
      begin = process.hrtime.bigint();
      send();
    }
  });

  await sender.setLocalDescription(await sender.createOffer());
  await receiver.setRemoteDescription(sender.localDescription);
  await receiver.setLocalDescription(await receiver.createAnswer());
  await sender.setRemoteDescription(receiver.localDescription);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
