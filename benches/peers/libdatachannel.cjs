// Two peers of libdatachannel in one process, on the loopback interface: how
// fast a raw data channel is, from memory to memory. Arguments: the folder
// that holds node_modules, and how many bytes to send. Prints one JSON object.
'use strict';

const path = require('node:path');

const [, , folder, wanted] = process.argv;
const total = Number(wanted);
const { PeerConnection, cleanup } = require(path.join(folder, 'node_modules', 'node-datachannel'));

const MESSAGE = 64 * 1024;
// Enough on its way to keep the channel busy, and no more than a browser would take.
const HIGH = 4 * 1024 * 1024;
const LOW = 1024 * 1024;

const options = { iceServers: [], bindAddress: '127.0.0.1' };
const sender = new PeerConnection('sender', options);
const receiver = new PeerConnection('receiver', options);
for (const [from, to] of [[sender, receiver], [receiver, sender]]) {
  from.onLocalDescription((sdp, type) => to.setRemoteDescription(sdp, type));
  from.onLocalCandidate((candidate, mid) => to.addRemoteCandidate(candidate, mid));
}

const message = Buffer.alloc(MESSAGE, 0x5a);
let begin = 0n;
let arrived = 0;

// It keeps the channel from being collected.
let incoming = null;
receiver.onDataChannel((channel) => {
  incoming = channel;
  channel.onMessage((data) => {
    arrived += data.length;
    if (arrived >= total) {
      const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
      console.log(JSON.stringify({ event: 'completed', bytes: arrived, seconds }));
      sender.close();
      receiver.close();
      cleanup();
      process.exit(incoming ? 0 : 1);
    }
  });
});

const channel = sender.createDataChannel('bench');
let left = total;
function send() {
  while (left > 0 && channel.bufferedAmount() < HIGH) {
    channel.sendMessageBinary(left < MESSAGE ? message.subarray(0, left) : message);
    left -= Math.min(left, MESSAGE);
  }
}
channel.setBufferedAmountLowThreshold(LOW);
channel.onBufferedAmountLow(send);
channel.onOpen(() => {
  begin = process.hrtime.bigint();
  send();
});
