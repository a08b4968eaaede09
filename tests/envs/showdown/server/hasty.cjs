'use strict';
// Loaded before a server: it gives up at once on who has not asked for all that he wants.

const http = require('http');

const { createServer } = http;
http.createServer = (...given) => {
  const options = { headersTimeout: 1, requestTimeout: 1, connectionsCheckingInterval: 1 };
  return createServer(options, ...given);
};
