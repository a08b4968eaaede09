"use strict";
// Runs a Pokemon Showdown server in a root directory of its own: node serve.cjs ROOT [FLAGS].
const fs = require("fs");
const net = require("net");
const path = require("path");

const root = process.argv[2];

// The parent holds our stdin open. When it ends, by whatever death, so do the server and its directory.
function leave() {
	fs.rmSync(root, { recursive: true, force: true }); // links are removed, never followed
	process.exit(0);
}
process.stdin.on("end", leave).on("error", leave).resume();

// The port is the system's choice; the parent reads it from our output once all is loaded.
let port = 0;
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
	this.once("listening", () => {
		port = this.address().port || port;
	});
	// Who takes a minute to ask for a connection is given up on, but players on a busy machine may need longer.
	Object.assign(this, { headersTimeout: 0, requestTimeout: 0 });
	this.once("error", error => {
		console.error(error.message);
		process.exit(1);
	});
	return listen.apply(this, args);
};

process.chdir(root);
const server = require(path.join(root, "dist", "server", "index.js"));
server.readyPromise.then(() => setImmediate(() => console.log(`listening on port ${port}`)));
