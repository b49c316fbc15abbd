"""Follows the facts of all calls: each is handled once, in the order of its call.

    pip install nats-py
    python3 subscribe.py nats://127.0.0.1:4222
"""

import asyncio
import json
import sys
from collections import OrderedDict

import nats
from nats.errors import TimeoutError as NothingNew
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAM = "TANDEM_FACTS_V1"
NAME = "example-python"
# The stream has the audit, too.
CALLS = ["tandem.v1.*.call.>", "tandem.v1.*.cdr.>"]
REMEMBERED = 100_000


def handle(event):
    print(event["id"], event["type"], flush=True)


async def main(url):
    client = await nats.connect(url)
    jetstream = client.jetstream()
    # Durable: whoever comes back with this name goes on where it stopped.
    consumer = ConsumerConfig(
        durable_name=NAME,
        filter_subjects=CALLS,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=30,
    )
    await jetstream.add_consumer(STREAM, consumer)
    facts = await jetstream.pull_subscribe_bind(NAME, STREAM)
    # What your database has as a unique key: an event may come again, with the same id.
    seen = OrderedDict()
    while True:
        try:
            messages = await facts.fetch(100, timeout=5)
        except NothingNew:
            continue
        for message in messages:
            event = json.loads(message.data)
            if event["id"] not in seen:
                handle(event)
                seen[event["id"]] = True
                if len(seen) > REMEMBERED:
                    seen.popitem(last=False)
            # Only now: what is not acknowledged comes again.
            await message.ack()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
