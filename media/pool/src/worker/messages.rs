//! Messages on data channels of rooms, from and to whoever passes them on.

use tandem_core::metric::Counter;
use tandem_core::room::sfu::{DataChannel, SfuNews};
use tandem_core::time::Timestamp;

use super::Worker;

impl Worker<'_> {
    /// What is to be sent on data channels.
    pub(super) fn send_messages(&mut self) {
        let now = self.pool.clock.mono();
        while let Some(data) = self.seat.next_data(self.generation) {
            for to in data.to.iter() {
                let Some(place) = self.rooms.transports.get(to).copied() else { continue };
                let Some(found) = self.rooms.at(place).filter(|found| self.owns_room(found)) else { continue };
                let watch = self.watch();
                let sfu = &mut self.rooms.sfu;
                let step = || sfu.send_message(now, place, data.channel, &data.bytes);
                match watch.guarded(found.serial, step) {
                    Some(true) => {}
                    Some(false) => self.pool.metrics.count(Counter::RoomDataDropped),
                    None => self.give_up_room(place, &found),
                }
            }
        }
    }

    /// What came in on data channels goes to who passes it on. Who sends what is reliable faster than that is cut.
    pub(super) fn tell_messages(&mut self, now: Timestamp) {
        while let Some(place) = self.rooms.sfu.poll_talking() {
            let Some(found) = self.rooms.at(place).filter(|found| self.owns_room(found)) else { continue };
            loop {
                let watch = self.watch();
                let sfu = &mut self.rooms.sfu;
                match watch.guarded(found.serial, || sfu.poll_message(now, place)) {
                    Some(Some((channel, bytes))) => {
                        let id = found.id;
                        if self.pool.data.received(found.conference, id.participant, channel, bytes).is_err() {
                            self.pool.metrics.count(Counter::RoomDataDropped);
                            if channel == DataChannel::Reliable {
                                self.rooms.untold.push_back((id.participant, SfuNews::Broken(id.role)));
                            }
                        }
                    }
                    Some(None) => break,
                    None => {
                        self.give_up_room(place, &found);
                        break;
                    }
                }
            }
        }
    }
}
