// Preloaded into Node.js: an address of a document leads to the daemon of the test.
//
// SEED_DOORS names both, as {"localhost:8000": 41234}; the ports are on 127.0.0.1.
const net = require("net");

const doors = JSON.parse(process.env.SEED_DOORS);
const connect = net.connect;

net.connect = (options, ...more) => {
    const port = doors[`${options.host}:${options.port}`];
    return connect(port ? { ...options, host: "127.0.0.1", port } : options, ...more);
};
