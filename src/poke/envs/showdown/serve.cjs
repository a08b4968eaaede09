"use strict";
// Runs the Pokemon Showdown server in a root directory of its own, given as the only argument before the flags.
// The parent holds our stdin open; when it ends, by whatever death, so does the server.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));

const path = require("path");
const root = process.argv[2];
process.chdir(root);
require(path.join(root, "dist", "server", "index.js"));
