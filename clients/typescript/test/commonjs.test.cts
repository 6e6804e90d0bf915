// CommonJS, with the declarations that belong to it.

import assert = require("node:assert/strict");
import nodeTest = require("node:test");

import client = require("@heddle/client");

nodeTest.test("the package can be required, and is typed then too", () => {
  const events: client.EventsClient = new client.EventsClient("mesh_pub_live_1_secret", {
    apiBaseUrl: "https://heddle.example.com",
  });
  assert.equal(events.queued, 0);
  assert.ok(new client.HeddleError("no", { code: "closed" }) instanceof Error);
  assert.match(require.resolve("@heddle/client"), /dist.cjs.index\.js$/);
});
