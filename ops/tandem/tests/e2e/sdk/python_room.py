"""Two participants of the Python SDK in one room: tones, pictures, data, streams, RPC, muting, attributes, leaving; and
the server API over them. Wants LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. Prints one line a step; the exit code
tells."""

import array
import asyncio
import math
import os
import sys
import time
import uuid

from livekit import api, rtc

URL = os.environ["LIVEKIT_URL"]
KEY, SECRET = os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"]
# How long a step may take. Far more than it does: the machine may be busy.
PATIENCE = 60
RATE = 48_000
WIDTH, HEIGHT = 640, 360
START = time.time()


def say(*words):
    print(f"{time.time() - START:7.2f}", *words, flush=True)


def token(identity, room, **grants):
    grant = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True, **grants)
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_name(identity.title()).with_grants(grant).to_jwt()


def strength(samples, hertz):
    """The share of a tone in a piece of sound (Goertzel), 0..1."""
    step = 2 * math.cos(2 * math.pi * hertz / RATE)
    last, before, total = 0.0, 0.0, 0.0
    for sample in samples:
        last, before = sample + step * last - before, last
        total += sample * sample
    power = last * last + before * before - step * last * before
    return 0.0 if total == 0 else 2 * power / (total * len(samples))


class Person:
    """One participant, and what he noticed."""

    def __init__(self, identity, hertz):
        self.identity, self.hertz = identity, hertz
        self.room = rtc.Room()
        self.tasks, self.events, self.data, self.texts = [], [], [], []
        self.heard, self.pictures, self.size = {}, 0, None
        self.room.on("track_subscribed", self.subscribed)
        self.room.on("data_received", lambda it: self.data.append((bytes(it.data), it.topic, it.participant and it.participant.identity)))
        for event in ("participant_connected", "participant_disconnected"):
            self.room.on(event, lambda it, event=event: self.events.append((event, it.identity)))
        for event in ("track_muted", "track_unmuted"):
            self.room.on(event, lambda who, it, event=event: self.events.append((event, who.identity, it.kind)))
        self.room.on("participant_attributes_changed", lambda changed, who: self.events.append(("attributes", who.identity, dict(changed))))
        self.room.on("disconnected", lambda reason: self.events.append(("disconnected", reason)))

    def subscribed(self, track, publication, participant):
        say(self.identity, "subscribed", track.sid, "of", participant.identity)
        is_video = track.kind == rtc.TrackKind.KIND_VIDEO
        self.tasks.append(asyncio.ensure_future(self.watch(track) if is_video else self.listen(track)))

    async def listen(self, track):
        # Half seconds: the last one that was whole counts.
        piece = array.array("h")
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            piece.frombytes(bytes(event.frame.data))
            if len(piece) >= RATE // 2:
                for hertz in (440, 1000):
                    self.heard[hertz] = max(self.heard.get(hertz, 0), strength(piece, hertz))
                piece = array.array("h")

    async def watch(self, track):
        async for event in rtc.VideoStream(track):
            self.pictures += 1
            self.size = (event.frame.width, event.frame.height)

    async def join(self, room):
        await asyncio.wait_for(self.room.connect(URL, token(self.identity, room)), PATIENCE)
        say(self.identity, "is in", self.room.local_participant.sid)

    async def publish(self):
        me = self.room.local_participant
        self.source, self.camera = rtc.AudioSource(RATE, 1), rtc.VideoSource(WIDTH, HEIGHT)
        mic = rtc.LocalAudioTrack.create_audio_track("mic", self.source)
        cam = rtc.LocalVideoTrack.create_video_track("cam", self.camera)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self.mic = await asyncio.wait_for(me.publish_track(mic, options), PATIENCE)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, video_codec=rtc.VideoCodec.VP8)
        self.cam = await asyncio.wait_for(me.publish_track(cam, options), PATIENCE)
        self.tasks += [asyncio.ensure_future(self.sing()), asyncio.ensure_future(self.paint())]
        say(self.identity, "publishes", self.mic.sid, self.cam.sid)

    async def sing(self):
        at = 0
        while True:
            wave = (int(8000 * math.sin(2 * math.pi * self.hertz * (at + n) / RATE)) for n in range(480))
            await self.source.capture_frame(rtc.AudioFrame(array.array("h", wave).tobytes(), RATE, 1, 480))
            at += 480

    async def paint(self):
        for n in range(1_000_000):
            row = bytes([n * 5 % 256, n * 3 % 256, 128, 255]) * WIDTH
            self.camera.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, row * HEIGHT))
            await asyncio.sleep(1 / 15)

    async def leave(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait_for(self.room.disconnect(), PATIENCE)


async def until(what, is_so):
    end = time.time() + PATIENCE
    while not is_so():
        if time.time() > end:
            raise SystemExit(f"in vain: {what}")
        await asyncio.sleep(0.05)
    say("seen:", what)


async def media(alice, bob):
    for one, other in ((alice, bob), (bob, alice)):
        await until(f"{one.identity} hears {other.hertz} Hz", lambda: one.heard.get(other.hertz, 0) > 0.8)
        await until(f"{one.identity} sees pictures", lambda: one.pictures >= 20)
        assert one.heard.get(one.hertz, 0) < 0.2, f"{one.identity} hears himself: {one.heard}"


async def messages(alice, bob):
    me = alice.room.local_participant
    await me.publish_data(b"reliable", reliable=True, topic="t")
    await me.publish_data(b"to bob", reliable=True, destination_identities=["bob"])
    await me.publish_data(b"to nobody", reliable=True, destination_identities=["nobody"])
    await until("reliable data", lambda: (b"to bob", "", "alice") in [(d, t or "", w) for d, t, w in bob.data])
    assert (b"reliable", "t", "alice") in bob.data and b"to nobody" not in [it[0] for it in bob.data], bob.data

    async def lossy():
        for n in range(100):
            await me.publish_data(b"lossy", reliable=False)
            if any(it[0] == b"lossy" for it in bob.data):
                return
            await asyncio.sleep(0.1)

    await lossy()
    await until("lossy data", lambda: any(it[0] == b"lossy" for it in bob.data))

    async def read(reader, who):
        bob.texts.append((await reader.read_all(), who))

    bob.room.register_text_stream_handler("chat", lambda reader, who: bob.tasks.append(asyncio.ensure_future(read(reader, who))))
    long = "ёж " * 20_000
    await me.send_text(long, topic="chat")
    await until("a text stream of 100 kB", lambda: bob.texts == [(long, "alice")])

    @bob.room.local_participant.register_rpc_method("double")
    async def double(call):
        return call.payload * 2

    answer = await asyncio.wait_for(me.perform_rpc(destination_identity="bob", method="double", payload="ab"), PATIENCE)
    assert answer == "abab", answer
    say("seen: RPC")


async def changes(alice, bob):
    alice.mic.track.mute()
    await until("bob is told that she is muted", lambda: any(it[:2] == ("track_muted", "alice") for it in bob.events))
    alice.mic.track.unmute()
    await until("and that she is not", lambda: any(it[:2] == ("track_unmuted", "alice") for it in bob.events))
    await asyncio.wait_for(alice.room.local_participant.set_attributes({"hand": "up"}), PATIENCE)
    await until("her hand", lambda: ("attributes", "alice", {"hand": "up"}) in bob.events)
    await asyncio.wait_for(alice.room.local_participant.set_name("Alice A"), PATIENCE)
    await until("her name", lambda: bob.room.remote_participants["alice"].name == "Alice A")


async def serve(room, alice, bob):
    """What a server does."""
    async with api.LiveKitAPI(URL.replace("ws", "http", 1), KEY, SECRET) as server:
        rooms = await server.room.list_rooms(api.ListRoomsRequest(names=[room]))
        assert [it.name for it in rooms.rooms] == [room] and rooms.rooms[0].num_participants == 2, rooms
        published = lambda who: sum(1 for it in who.room.remote_participants.values() for _ in it.track_publications)
        await until("all tracks", lambda: published(alice) == 2 and published(bob) == 2)
        people = await server.room.list_participants(api.ListParticipantsRequest(room=room))
        assert sorted(it.identity for it in people.participants) == ["alice", "bob"], people
        assert all(len(it.tracks) == 2 and it.state == 2 for it in people.participants), people
        await server.room.send_data(api.SendDataRequest(room=room, data=b"from above", kind=0, destination_identities=["alice"]))
        await until("data of the server", lambda: any(it[0] == b"from above" for it in alice.data))
        await server.room.mute_published_track(api.MuteRoomTrackRequest(room=room, identity="alice", track_sid=alice.cam.sid, muted=True))
        await until("muted by the server", lambda: any(it == ("track_muted", "alice", rtc.TrackKind.KIND_VIDEO) for it in bob.events))
        await server.room.update_participant(api.UpdateParticipantRequest(room=room, identity="bob", metadata="m"))
        await until("metadata", lambda: alice.room.remote_participants["bob"].metadata == "m")
        await server.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="bob"))
        await until("bob is out", lambda: any(it[0] == "disconnected" for it in bob.events))
        await until("alice is told", lambda: ("participant_disconnected", "bob") in alice.events)


async def main():
    room = f"py-{uuid.uuid4().hex[:8]}"
    alice, bob = Person("alice", 440), Person("bob", 1000)
    await alice.join(room)
    await alice.publish()
    await bob.join(room)
    await until("alice is told of bob", lambda: ("participant_connected", "bob") in alice.events)
    await bob.publish()
    steps = {"media": media(alice, bob), "messages": messages(alice, bob), "changes": changes(alice, bob), "server": serve(room, alice, bob)}
    wanted = sys.argv[1:] or list(steps)
    for name, step in steps.items():
        if name in wanted:
            say("step", name)
            await step
        else:
            step.close()
    await alice.leave()
    await bob.leave()
    say("done")


asyncio.run(asyncio.wait_for(main(), 10 * PATIENCE))
