// Follows the facts of all calls: each is handled once, in the order of its call.
//
//     npm install @nats-io/transport-node @nats-io/jetstream
//     node subscribe.mjs nats://127.0.0.1:4222
import { connect, nanos } from "@nats-io/transport-node";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const STREAM = "TANDEM_FACTS_V1";
const NAME = "example-javascript";
// The stream has the audit, too.
const CALLS = ["tandem.v1.*.call.>", "tandem.v1.*.cdr.>"];
const REMEMBERED = 100_000;

function handle(event) {
  console.log(event.id, event.type);
}

const client = await connect({ servers: process.argv[2] ?? "nats://127.0.0.1:4222" });
const manager = await jetstreamManager(client);
// Durable: whoever comes back with this name goes on where it stopped.
await manager.consumers.add(STREAM, {
  durable_name: NAME,
  filter_subjects: CALLS,
  ack_policy: AckPolicy.Explicit,
  deliver_policy: DeliverPolicy.All,
  ack_wait: nanos(30_000),
});
const consumer = await jetstream(client).consumers.get(STREAM, NAME);
// What your database has as a unique key: an event may come again, with the same id.
const seen = new Set();
for await (const message of await consumer.consume({ max_messages: 100 })) {
  const event = message.json();
  if (!seen.has(event.id)) {
    handle(event);
    seen.add(event.id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value);
  }
  // Only now: what is not acknowledged comes again.
  message.ack();
}
