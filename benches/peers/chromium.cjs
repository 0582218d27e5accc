// Chromium to itself: two RTCPeerConnections in one page of a headless browser, on
// the loopback interface: how fast a raw data channel is, from memory to memory.
// Arguments: the browser's program, an empty folder for its profile, and how
// many bytes to send. Speaks the DevTools protocol over the browser's own pipe,
// so that no package is needed. Prints one JSON object.
'use strict';

const { spawn } = require('node:child_process');

const [, , program, profile, wanted] = process.argv;
const total = Number(wanted);

// Runs in the page, which gives back how many seconds it took.
async function transfer(total) {
  const MESSAGE = 64 * 1024;
  const HIGH = 4 * 1024 * 1024;
  const LOW = 1024 * 1024;
  const [sender, receiver] = [new RTCPeerConnection(), new RTCPeerConnection()];
  for (const [from, to] of [[sender, receiver], [receiver, sender]]) {
    from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
  }
  const channel = sender.createDataChannel('bench');
  channel.binaryType = 'arraybuffer';
  channel.bufferedAmountLowThreshold = LOW;
  const done = new Promise((resolve) => {
    let arrived = 0;
    receiver.ondatachannel = (event) => {
      // It keeps the channel from being collected.
      window.incoming = event.channel;
      event.channel.binaryType = 'arraybuffer';
      event.channel.onmessage = ({ data }) => {
        arrived += data.byteLength;
        if (arrived >= total) resolve(performance.now());
      };
    };
  });
  const opened = new Promise((resolve) => { channel.onopen = resolve; });
  await sender.setLocalDescription(await sender.createOffer());
  await receiver.setRemoteDescription(sender.localDescription);
  await receiver.setLocalDescription(await receiver.createAnswer());
  await sender.setRemoteDescription(receiver.localDescription);
  await opened;

  const message = new Uint8Array(MESSAGE).fill(0x5a);
  const begin = performance.now();
  let left = total;
  while (left > 0) {
    if (channel.bufferedAmount >= HIGH) {
      await new Promise((resolve) => { channel.onbufferedamountlow = resolve; });
    }
    channel.send(left < MESSAGE ? message.subarray(0, left) : message);
    left -= Math.min(left, MESSAGE);
  }
  return ((await done) - begin) / 1000;
}

const flags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  // Local addresses as they are: there is nobody to resolve the names that hide them.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank',
];
const browser = spawn(program, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const [to, from] = [browser.stdio[3], browser.stdio[4]];

function fail(reason) {
  console.error(reason);
  browser.kill();
  process.exit(1);
}
browser.on('error', (error) => fail(error.message));

let last = 0;
const waiting = new Map();
function ask(method, params = {}, sessionId = undefined) {
  last += 1;
  to.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
  return new Promise((resolve) => waiting.set(last, resolve));
}

let rest = '';
from.on('data', (data) => {
  const parts = (rest + data).split('\0');
  rest = parts.pop();
  for (const { id, error, result } of parts.map((part) => JSON.parse(part))) {
    if (error) fail(error.message);
    waiting.get(id)?.(result);
    waiting.delete(id);
  }
});

async function main() {
  const { targetInfos } = await ask('Target.getTargets');
  const page = targetInfos.find(({ type }) => type === 'page');
  if (!page) throw new Error('there is no page');
  const { sessionId } = await ask('Target.attachToTarget', { targetId: page.targetId, flatten: true });
  const call = { expression: `(${transfer})(${total})`, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await ask('Runtime.evaluate', call, sessionId);
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  console.log(JSON.stringify({ event: 'completed', bytes: total, seconds: result.value }));
  // Its profile can be removed once it is gone.
  browser.on('exit', () => process.exit(0));
  ask('Browser.close');
}

main().catch((error) => fail(error.message));
