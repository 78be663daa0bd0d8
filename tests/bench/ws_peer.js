// SPDX-License-Identifier: GPL-3.0-or-later
// A chat room on Debian's node-ws, as small as can be: ws_peer.js PORT.
'use strict';
const {WebSocketServer} = require('/usr/share/nodejs/ws');
const server = new WebSocketServer({host: '127.0.0.1', port: Number(process.argv[2]),
  perMessageDeflate: false, clientTracking: true});
server.on('connection', (ws) => {
  ws.on('message', (data) => {
    for (const member of server.clients) {
      member.send(data, {binary: false});
    }
  });
});
