// SPDX-License-Identifier: GPL-3.0-or-later
// What Debian's node-ws sees of a server: ws_node.js PORT. One line of JSON.
'use strict';
const {WebSocket} = require('/usr/share/nodejs/ws');
const url = `ws://127.0.0.1:${process.argv[2]}/ws`;
const texts = ['', 'Hello', 'ä€🧅', 'x'.repeat(125), 'x'.repeat(126), 'x'.repeat(65536)];

function talk(options) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, options);
    const heard = [];
    ws.on('error', reject);
    ws.on('open', () => {
      for (const text of texts) {
        ws.send(text);
      }
      ws.send('frag', {fin: false});
      ws.ping('are you there');
      ws.send('ments', {fin: true});
    });
    ws.on('message', (data, binary) => {
      heard.push(binary ? null : data.toString());
      if (heard.length === texts.length + 1) {
        ws.ping('and now');
      }
    });
    ws.on('pong', (data) => {
      if (data.toString() === 'and now') {
        ws.close(1000, 'good bye');
      }
    });
    ws.on('close', (code) => resolve({
      same: JSON.stringify(heard) === JSON.stringify([...texts, 'fragments']),
      extensions: ws.extensions, code,
    }));
  });
}

function end(first) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    ws.on('error', reject);
    ws.on('open', () => first(ws));
    ws.on('close', (code) => resolve(code));
  });
}

function refused(options) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, options);
    ws.on('error', () => {});
    ws.on('open', () => reject(new Error('let in')));
    ws.on('unexpected-response', (req, res) => {
      resolve(res.statusCode);
      req.destroy();
    });
  });
}

(async () => {
  console.log(JSON.stringify({
    plain: await talk({perMessageDeflate: false}),
    compressing: await talk({perMessageDeflate: true}),
    binary: await end((ws) => ws.send(Buffer.from([1, 2, 3]))),
    large: await end((ws) => ws.send('x'.repeat(65537))),
    asked: await end((ws) => ws.send('close 4321')),
    foreign: await refused({origin: 'http://evil.example'}),
    ours: (await talk({origin: `http://127.0.0.1:${process.argv[2]}`})).code,
  }));
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
