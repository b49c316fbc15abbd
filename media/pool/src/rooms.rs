//! The pool as rooms see it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tandem_core::id::{ConferenceId, ParticipantId, TrackId};
use tandem_core::machine::Refusal;
use tandem_core::media::{LocalMedia, PeerDescription};
use tandem_core::metric::Gauge;
use tandem_core::pii::Pii;
use tandem_core::ports::{DataPort, SfuListener, SfuPort};
use tandem_core::room::sfu::{DataChannel, DataOut, SfuCommand, SfuNews, Speakers, TransportId};
use tandem_engine::peer::Kept;

use crate::pool::{PASSWORD_LEN, Pool, UFRAG_LEN, random_text};
use crate::room_box::RoomBox;
use crate::seat::Seat;
use crate::shared_port::SharedPort;

/// Which connections there are, and on which of them tracks come in.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    boxes: HashMap<TransportId, Arc<RoomBox>>,
    tracks: HashMap<TrackId, TransportId>,
}

impl Rooms {
    pub(crate) fn find(&self, id: TransportId) -> Option<&Arc<RoomBox>> {
        self.boxes.get(&id)
    }

    pub(crate) fn of_worker(&self, worker: usize) -> Vec<Arc<RoomBox>> {
        self.boxes.values().filter(|it| it.home == worker).cloned().collect()
    }

    fn of_track(&self, track: TrackId) -> Option<&Arc<RoomBox>> {
        self.boxes.get(self.tracks.get(&track)?)
    }

    fn remove(&mut self, id: TransportId) -> Option<Arc<RoomBox>> {
        let gone = self.boxes.remove(&id)?;
        for track in gone.taken() {
            if self.tracks.get(&track) == Some(&id) {
                self.tracks.remove(&track);
            }
        }
        Some(gone)
    }

    /// Files a wish. Gives who must be looked at, the one that it is about last.
    fn file(&mut self, command: SfuCommand) -> Result<Vec<Arc<RoomBox>>, Refusal> {
        let living = |found: Option<&Arc<RoomBox>>| found.filter(|it| !it.is_over()).cloned().ok_or(Refusal::Gone);
        match command {
            SfuCommand::Connect { transport, remote, extensions } => {
                let found = living(self.find(transport))?;
                found.connect(remote, extensions);
                Ok(vec![found])
            }
            SfuCommand::Receive { track, spec } => {
                let found = living(self.find(spec.transport))?;
                let before = self.of_track(track).filter(|it| it.id != spec.transport).cloned();
                before.iter().for_each(|before| before.leave_out(track));
                self.tracks.insert(track, spec.transport);
                found.take_in(track, spec);
                Ok(before.into_iter().chain([found]).collect())
            }
            SfuCommand::Mute { track, is_muted } => {
                let found = living(self.of_track(track))?;
                found.mute(track, is_muted);
                Ok(vec![found])
            }
            SfuCommand::StopReceiving { track } => {
                let Some(found) = self.of_track(track).cloned() else { return Ok(Vec::new()) };
                self.tracks.remove(&track);
                found.leave_out(track);
                Ok(vec![found])
            }
            SfuCommand::Send { track, transport, spec, wish } => {
                let found = living(self.find(transport))?;
                found.send(track, spec, wish);
                Ok(vec![found])
            }
            SfuCommand::StopSending { track, transport } => {
                let Some(found) = self.find(transport).cloned() else { return Ok(Vec::new()) };
                found.stop_sending(track);
                Ok(vec![found])
            }
        }
    }
}

impl Pool {
    fn local_of_room(&self, found: &RoomBox) -> LocalMedia {
        let port = self.shared_ports.get(found.home).map_or(0, SharedPort::port);
        let at = SocketAddr::new(self.config.announced(), port);
        let peer = PeerDescription {
            ufrag: found.kept.ufrag().to_owned(),
            password: Pii::new(found.kept.password().to_owned()),
            fingerprint: self.identity.fingerprint(),
            ssrc: None,
        };
        LocalMedia { peer: Some(Arc::new(peer)), ..LocalMedia::pair(at, at) }
    }

    fn note_room(&self, changed: &Arc<RoomBox>) -> Result<(), Refusal> {
        self.seats.get(changed.home).map_or(Ok(()), |seat| seat.note_room(changed))
    }

    /// The worker of these was given up.
    pub(crate) fn lose_rooms(&self, worker: usize) {
        let lost = self.directory.lock().rooms.of_worker(worker);
        for lost in lost {
            lost.end();
            // As for legs: who cannot be told ends by his own timers.
            let _ = self.listener.news(lost.id.participant, SfuNews::Broken(lost.id.role));
        }
    }
}

impl SfuPort for Pool {
    fn open(&self, conference: ConferenceId, transport: TransportId) -> Result<LocalMedia, Refusal> {
        let new = {
            let mut directory = self.directory.lock();
            if let Some(found) = directory.rooms.find(transport) {
                return Ok(self.local_of_room(found));
            }
            let home = directory.seat_room(conference, self.config.peers_per_worker)?;
            let kept = Kept::of_room(random_text(UFRAG_LEN), random_text(PASSWORD_LEN)).with_data(transport.role);
            let new = Arc::new(RoomBox::new(transport, conference, self.next_serial(), home, kept));
            directory.rooms.boxes.insert(transport, new.clone());
            new
        };
        self.metrics.shift(Gauge::PeersActive, 1);
        if let Err(stuck) = self.note_room(&new) {
            SfuPort::release(self, transport);
            return Err(stuck);
        }
        Ok(self.local_of_room(&new))
    }

    fn command(&self, _: ConferenceId, command: SfuCommand) -> Result<(), Refusal> {
        let changed = self.directory.lock().rooms.file(command)?;
        let mut outcome = Ok(());
        for changed in changed {
            outcome = self.note_room(&changed);
        }
        outcome
    }

    fn send(&self, conference: ConferenceId, data: DataOut) -> Result<(), Refusal> {
        let home = {
            let directory = self.directory.lock();
            data.to.iter().find_map(|to| directory.rooms.find(*to)).map(|found| (found.home, found.conference))
        };
        let Some((home, _)) = home.filter(|(_, of)| *of == conference) else { return Ok(()) };
        self.seats.get(home).map_or(Ok(()), |seat| seat.post(data))
    }

    fn release(&self, transport: TransportId) {
        let gone = {
            let mut directory = self.directory.lock();
            let Some(gone) = directory.rooms.remove(transport) else { return };
            directory.unseat_room(gone.home);
            gone
        };
        gone.end();
        self.metrics.shift(Gauge::PeersActive, -1);
        if let Some(seat) = self.seats.get(gone.home) {
            Seat::note_room_or_review(seat, &gone);
        }
    }
}

/// For a pool whose rooms nobody asked for.
#[derive(Debug)]
pub(crate) struct Nobody;

impl SfuListener for Nobody {
    fn news(&self, _: ParticipantId, _: SfuNews) -> Result<(), Refusal> {
        Err(Refusal::Gone)
    }

    fn speakers(&self, _: Speakers) {}
}

impl DataPort for Nobody {
    fn received(&self, _: ConferenceId, _: ParticipantId, _: DataChannel, _: Bytes) -> Result<(), Refusal> {
        Err(Refusal::Gone)
    }
}
