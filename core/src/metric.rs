//! What is counted. Plain atomics, so that counting costs nothing on any path; whoever exports them reads them.

mod family;
mod histogram;
mod requests;

use std::sync::Weak;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::cause::Cause;
use crate::cdr::Cdr;
use crate::quality::MediaReport;

pub use family::{Family, Kind, Reading, Sample};
use histogram::Cells;
use requests::Requests;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal, $help:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $($(#[$item_doc])* #[doc = $help] $item,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];

            /// Name on the outside.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }

            /// What it means, in one line.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$item => $help,)* }
            }
        }
    };
}

names! {
    /// Things that only rise.
    Counter {
        CallsStarted = "tandem_calls_started_total", "Calls let in.";
        CallsAnswered = "tandem_calls_answered_total", "Calls answered.";
        TalkMilliseconds = "tandem_talk_milliseconds_total", "Milliseconds that ended calls have talked, as billed.";
        CallsRefusedAtDoor = "tandem_calls_refused_at_door_total", "Calls refused at the door: the limit, a rate, draining, or a full disk.";
        CallsLimited = "tandem_calls_limited_total", "Calls refused because too many began within a second or two.";
        FactsCommitted = "tandem_facts_committed_total", "Facts written to the journal.";
        FactsStored = "tandem_facts_stored_total", "Facts committed to the database.";
        FactsPublished = "tandem_facts_published_total", "Facts given to the bus.";
        LedgerRetries = "tandem_ledger_retries_total", "Batches that the database did not take at once.";
        LiveDropped = "tandem_live_events_dropped_total", "Live events that nobody could take.";
        ShellsRestarted = "tandem_shells_restarted_total", "Actors started again after a failure.";
        SlotsGivenUp = "tandem_slots_given_up_total", "Machines ended because their actors died too often.";
        InputsRejected = "tandem_inputs_rejected_total", "Inputs that did not apply.";
        ServicesRestarted = "tandem_services_restarted_total", "Services started again after a failure.";
        SipRequests = "tandem_sip_requests_total", "SIP requests received.";
        SipResponses = "tandem_sip_responses_total", "SIP responses received.";
        SipMalformed = "tandem_sip_malformed_total", "SIP messages refused or dropped as malformed.";
        SipPanics = "tandem_sip_panics_total", "SIP messages whose handling broke.";
        SipLimited = "tandem_sip_limited_total", "SIP requests refused by a rate limit.";
        SipOverload = "tandem_sip_overload_total", "SIP messages dropped or refused because a queue was full.";
        SipAuthFailed = "tandem_sip_auth_failed_total", "Requests with wrong credentials.";
        SipConnectionsRefused = "tandem_sip_connections_refused_total", "SIP connections closed at once for want of room.";
        SipRetransmissions = "tandem_sip_retransmissions_total", "SIP messages sent again.";
        SipUnmatched = "tandem_sip_unmatched_total", "Responses and ACKs that belong to nothing.";
        SdpMalformed = "tandem_sdp_malformed_total", "Session descriptions refused.";
        RtpReceived = "tandem_rtp_packets_received_total", "RTP packets received.";
        RtpForwarded = "tandem_rtp_packets_forwarded_total", "RTP packets sent on.";
        RtpMalformed = "tandem_rtp_malformed_total", "Packets that were no RTP or RTCP.";
        RtpForeign = "tandem_rtp_foreign_total", "Packets from where nobody was expected.";
        RtpUnrouted = "tandem_rtp_unrouted_total", "Packets with nowhere to go.";
        RtcpReceived = "tandem_rtcp_packets_received_total", "RTCP packets received.";
        MediaNewsDropped = "tandem_media_news_dropped_total", "News of media workers that found no room.";
        MediaPanics = "tandem_media_panics_total", "Packets and commands whose handling broke.";
        MediaSilent = "tandem_media_silent_total", "Legs that fell silent.";
        PeersConnected = "tandem_peers_connected_total", "WebRTC peers whose handshake succeeded.";
        PeersRebuilt = "tandem_peers_rebuilt_total", "WebRTC peers that went on in a new media worker.";
        PeerMalformed = "tandem_peer_malformed_total", "Datagrams on the peers' ports that were nothing known.";
        PeerForeign = "tandem_peer_foreign_total", "DTLS and SRTP from addresses that no check came from.";
        PeerRefused = "tandem_peer_refused_total", "Datagrams of peers that were not authentic, or came again.";
        ApiCallsInitiated = "tandem_api_calls_initiated_total", "Calls begun through the API.";
        ApiCallsFailed = "tandem_api_calls_failed_total", "Calls that the API was asked for and could not begin.";
        ApiRefused = "tandem_api_refused_total", "Requests refused for want of a valid token.";
        SignInsFailed = "tandem_sign_ins_failed_total", "Sign-ins with wrong credentials.";
        SignInsBusy = "tandem_sign_ins_busy_total", "Passwords not checked because too many others were.";
        SignInsLimited = "tandem_sign_ins_limited_total", "Sign-ins refused by a rate limit.";
        ClientsCut = "tandem_clients_cut_total", "Event streams cut because their reader was too slow.";
        TracesKept = "tandem_call_traces_kept_total", "Stories of calls written to the database.";
        TracesDropped = "tandem_call_traces_dropped_total", "Stories of calls that there was no room for, or that could not be written.";
        TraceNotesDropped = "tandem_call_trace_notes_dropped_total", "Messages left out of stories because there was no room for them.";
        MediaWorkersRebuilt = "tandem_media_workers_rebuilt_total", "Media workers started again from the black box.";
        PublishFailures = "tandem_bus_publish_failures_total", "Times that facts could not be given to the bus, and stayed in the outbox.";
        EventsRefused = "tandem_outbox_refusals_total", "Times that the bus refused an event for what it is.";
        StateDropped = "tandem_state_dropped_total", "Changes of state that there was no room for while the bus was away.";
        FactsPoisoned = "tandem_facts_poisoned_total", "Journal entries that the database refused for what is in them, set aside in a file.";
        FactsPoisonedLost = "tandem_facts_poisoned_lost_total", "Those of them that were lost, because too many were set aside before.";
        RowsRetired = "tandem_rows_retired_total", "Rows deleted from the database because they were too old.";
        IssuerKeyFetches = "tandem_issuer_key_fetches_total", "Fetches of the keys of the external issuer of tokens.";
        IssuerKeyFetchesFailed = "tandem_issuer_key_fetches_failed_total", "Those of them that brought no keys.";
        ExternalTokensRefused = "tandem_external_tokens_refused_total", "Tokens refused that said to be the external issuer's.";
        ApiLimitedAddress = "tandem_api_limited_address_total", "Requests refused because too many came from their address.";
        ApiLimitedUser = "tandem_api_limited_user_total", "Requests refused because their user sent too many.";
        ApiLimitedTenant = "tandem_api_limited_tenant_total", "Requests refused because their tenant's users sent too many.";
        WebhookRequests = "tandem_webhook_requests_total", "Requests sent to webhooks.";
        WebhookRequestsFailed = "tandem_webhook_requests_failed_total", "Those of them that were not taken.";
        WebhookDeliveriesDead = "tandem_webhook_deliveries_given_up_total", "Events that a webhook did not take for too long.";
        CallsFailed = "tandem_calls_failed_total", "Calls that ended because something did not work: of us, of the network, or between the two.";
        SignIns = "tandem_sign_ins_total", "Sign-ins with the right credentials.";
        TracesExported = "tandem_call_traces_exported_total", "Calls whose spans were given to the exporter.";
        TracesLeftOut = "tandem_call_traces_left_out_total", "Calls whose spans were not, by the share that is kept.";
        RoomDataDropped = "tandem_room_data_dropped_total", "Messages of participants that were dropped: a receiver, or whoever passes them on, did not take them.";
    }
}

names! {
    /// Things that rise and fall.
    Gauge {
        CallsActive = "tandem_calls_active", "Calls that are not over.";
        LegsActive = "tandem_legs_active", "Legs that are not over.";
        TracksActive = "tandem_tracks_active", "Tracks that are not over.";
        Registrations = "tandem_registrations", "Contacts registered.";
        SipTransactions = "tandem_sip_transactions", "SIP transactions in memory.";
        SipDialogs = "tandem_sip_dialogs", "SIP dialogs in memory.";
        SipConnections = "tandem_sip_connections", "SIP connections open.";
        MediaPortsUsed = "tandem_media_ports_used", "RTP port pairs in use.";
        PeersActive = "tandem_peers_active", "WebRTC peers in memory.";
        ClientsConnected = "tandem_clients_connected", "Event streams open.";
        JournalBacklog = "tandem_journal_backlog", "Facts in the journal that the database does not have yet.";
        OutboxDepth = "tandem_outbox_events", "Events in the outbox that the bus does not have yet.";
        OutboxOldestSeconds = "tandem_outbox_oldest_seconds", "Age of the oldest of them.";
        OutboxRefused = "tandem_outbox_refused_events", "Events that the bus refused too often and that were set aside.";
        BusConnected = "tandem_bus_connected", "Whether NATS is connected (1); 0 without one.";
        IssuerKeys = "tandem_issuer_keys", "Keys of the external issuer that verify tokens now.";
        Revocations = "tandem_revocations", "Tokens, users and devices that are revoked.";
        WebhookDeliveriesPending = "tandem_webhook_deliveries_pending", "Events on their way to webhooks.";
        WebhookDeliveriesDead = "tandem_webhook_deliveries_dead", "Events that webhooks did not take, kept to be sent again.";
        ConferencesActive = "tandem_conferences_active", "Rooms that are held now.";
        ParticipantsActive = "tandem_participants_active", "Participants of conferences that have not left.";
        PublicationsActive = "tandem_publications_active", "Tracks that participants of conferences publish.";
    }
}

names! {
    /// What is bounded and fills up: the label of `tandem_queue_depth` and `tandem_queue_capacity`.
    Queue {
        Calls = "calls", "Calls inside the door.";
        CallInboxes = "call_inboxes", "Inputs that calls have not read.";
        LegInboxes = "leg_inboxes", "Inputs that legs have not read.";
        TrackInboxes = "track_inboxes", "Inputs that tracks have not read.";
        SipMessages = "sip_messages", "Messages that wait for a shard; more are refused with 503 or dropped.";
        SipSignals = "sip_signals", "Signals of legs that wait for a shard; more are refused to the leg.";
        SipTransactions = "sip_transactions", "Transactions of others; more are refused with 503.";
        SipConnections = "sip_connections", "Connections; more are closed at once.";
        SipWrites = "sip_writes", "Messages that wait to be written to connections; one with too many is closed.";
        MediaNotes = "media_notes", "Changes that wait for media workers; more are refused to the leg.";
        MediaNews = "media_news", "News of media workers for legs whose inboxes are full; more are dropped.";
        HttpConnections = "http_connections", "HTTP connections; more wait in the kernel's backlog.";
        EventStreams = "event_streams", "Event streams; more are refused with 503.";
        EventFrames = "event_frames", "Frames that wait for readers of event streams; a reader too far behind is cut.";
        SignIns = "sign_ins", "Passwords that are checked or wait for it; more are refused with 503.";
        JournalBytes = "journal_bytes", "Bytes of facts that the disk did not take; more are lost, and the door is closed before.";
        BusEvents = "bus_events", "Events that the slowest subscriber of the bus has not read; it loses the oldest.";
        ProviderLegs = "provider_legs", "Legs at the mock provider; more are refused.";
        OtlpSpans = "otlp_spans", "Spans that wait for the collector; more are dropped.";
        OtlpLogs = "otlp_logs", "Log lines that wait for the collector; more are dropped.";
        DatabaseConnections = "database_connections", "Connections to the database that are in use; who wants more waits.";
        ConferenceInboxes = "conference_inboxes", "Inputs that conferences have not read.";
        ParticipantInboxes = "participant_inboxes", "Inputs that participants of conferences have not read.";
        PublicationInboxes = "publication_inboxes", "Inputs that published tracks have not read.";
        Participants = "participants", "Participants of all conferences; more are refused.";
    }
}

names! {
    /// What is measured, and how it is spread.
    Histogram {
        CallSetup = "tandem_call_setup_seconds", "Our share of setting up a call: from the request that begins it to our first request to a callee.";
        PostDialDelay = "tandem_call_post_dial_delay_seconds", "From letting a call in to the first ringing.";
        TimeToAnswer = "tandem_call_time_to_answer_seconds", "From letting a call in to its answer.";
        CallDuration = "tandem_call_duration_seconds", "From answer to end, of calls that were answered.";
        MediaMos = "tandem_media_mos", "Estimated mean opinion score of a leg's media, as we received it.";
        MediaLoss = "tandem_media_lost_permille", "Of the packets of a leg's far end, what did not come, in permille.";
        MediaJitter = "tandem_media_jitter_seconds", "Interarrival jitter of a leg's media at its end.";
        LedgerCommit = "tandem_ledger_commit_seconds", "How long a batch of facts takes to be committed to the database.";
    }
}

names! {
    /// What is exported to a collector: the label of `tandem_otlp_exported_total` and `tandem_otlp_dropped_total`.
    Signal {
        Traces = "traces", "Spans.";
        Metrics = "metrics", "Readings of all counts.";
        Logs = "logs", "Log lines.";
    }
}

/// How full something is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fill {
    /// What is in it.
    pub depth: usize,
    /// What fits.
    pub capacity: usize,
}

impl std::ops::Add for Fill {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { depth: self.depth + other.depth, capacity: self.capacity + other.capacity }
    }
}

impl std::iter::Sum for Fill {
    fn sum<I: Iterator<Item = Self>>(fills: I) -> Self {
        fills.fold(Self::default(), std::ops::Add::add)
    }
}

/// Whoever has queues. Asked when metrics are read, so that filling them costs nothing.
pub trait Queues: Send + Sync {
    /// Those that it has, as they are now. It may have some of one name.
    fn queues(&self) -> Vec<(Queue, Fill)>;
}

/// All counts of one node.
#[derive(Debug)]
pub struct Metrics {
    owners: Mutex<Vec<Weak<dyn Queues>>>,
    counters: Vec<AtomicU64>,
    gauges: Vec<AtomicI64>,
    ended: [AtomicU64; Cause::ALL.len()],
    histograms: Vec<Cells>,
    requests: Requests,
    /// Exported and dropped, of each signal.
    otlp: [(AtomicU64, AtomicU64); Signal::ALL.len()],
}

impl Default for Metrics {
    fn default() -> Self {
        let counters = Counter::ALL.iter().map(|_| AtomicU64::new(0)).collect();
        let gauges = Gauge::ALL.iter().map(|_| AtomicI64::new(0)).collect();
        Self {
            owners: Mutex::default(),
            counters,
            gauges,
            ended: Cause::ALL.map(|_| AtomicU64::new(0)),
            histograms: Histogram::ALL.iter().map(|it| Cells::new(it.bounds())).collect(),
            requests: Requests::default(),
            otlp: Default::default(),
        }
    }
}

impl Metrics {
    /// One more.
    pub fn count(&self, what: Counter) {
        self.add(what, 1);
    }

    /// Some more.
    pub fn add(&self, what: Counter, more: u64) {
        if let Some(cell) = self.counters.get(what as usize) {
            cell.fetch_add(more, Relaxed);
        }
    }

    /// A gauge moves.
    pub fn shift(&self, what: Gauge, by: i64) {
        if let Some(cell) = self.gauges.get(what as usize) {
            cell.fetch_add(by, Relaxed);
        }
    }

    /// A gauge is read off somewhere.
    pub fn set(&self, what: Gauge, value: i64) {
        if let Some(cell) = self.gauges.get(what as usize) {
            cell.store(value, Relaxed);
        }
    }

    /// A call ended for this cause.
    pub fn ended(&self, cause: Cause) {
        if let Some(cell) = self.ended.get(cause as usize) {
            cell.fetch_add(1, Relaxed);
        }
        if cause.is_failure() {
            self.count(Counter::CallsFailed);
        }
    }

    /// Something took so long.
    pub fn took(&self, what: Histogram, time: Duration) {
        self.observe(what, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// A call is over, and this is its record.
    pub fn call_over(&self, record: &Cdr) {
        let after_start = |at: Option<_>| at.map(|at| at - record.started_at);
        let talked = record.answered_at.map(|_| Duration::from_millis(record.talk_ms));
        for (what, time) in [
            (Histogram::PostDialDelay, after_start(record.ringing_at)),
            (Histogram::TimeToAnswer, after_start(record.answered_at)),
            (Histogram::CallDuration, talked),
        ] {
            time.into_iter().for_each(|time| self.took(what, time));
        }
    }

    /// A leg's media is over, and it fared like this.
    pub fn media_over(&self, report: &MediaReport) {
        if let Some(mos) = report.mos {
            self.observe(Histogram::MediaMos, (mos.clamp(1.0, 4.5) * 1_000.0) as u64);
            self.observe(Histogram::MediaLoss, u64::from(report.lost_permille()));
            self.took(Histogram::MediaJitter, report.jitter);
        }
    }

    /// A request of HTTP was answered: its route as a template, never a path that somebody sent.
    pub fn request(&self, method: &'static str, route: &str, status: u16, time: Duration) {
        self.requests.answered(method, route, status, time);
    }

    /// So many items were exported.
    pub fn otlp_exported(&self, signal: Signal, count: u64) {
        if let Some((exported, _)) = self.otlp.get(signal as usize) {
            exported.fetch_add(count, Relaxed);
        }
    }

    /// So many items were not exported and never will be.
    pub fn otlp_dropped(&self, signal: Signal, count: u64) {
        if let Some((_, dropped)) = self.otlp.get(signal as usize) {
            dropped.fetch_add(count, Relaxed);
        }
    }

    /// How many items of a signal were exported, and how many dropped.
    #[must_use]
    pub fn otlp(&self, signal: Signal) -> (u64, u64) {
        self.otlp.get(signal as usize).map_or((0, 0), |(one, two)| (one.load(Relaxed), two.load(Relaxed)))
    }

    fn observe(&self, what: Histogram, value: u64) {
        if let Some(cells) = self.histograms.get(what as usize) {
            cells.observe(value);
        }
    }

    /// From now on this one is asked for its queues, as long as it is there.
    pub fn watch(&self, owner: Weak<dyn Queues>) {
        let mut owners = self.owners.lock();
        owners.retain(|owner| owner.strong_count() > 0);
        owners.push(owner);
    }

    /// How full every queue is; one that nobody has holds nothing.
    #[must_use]
    pub fn queues(&self) -> Vec<(Queue, Fill)> {
        let owners = self.owners.lock().clone();
        let found: Vec<_> = owners.iter().filter_map(Weak::upgrade).flat_map(|owner| owner.queues()).collect();
        let fill = |queue| found.iter().filter(|(other, _)| *other == queue).map(|(_, fill)| *fill).sum();
        Queue::ALL.iter().map(|queue| (*queue, fill(*queue))).collect()
    }

    /// A counter's value.
    #[must_use]
    pub fn counter(&self, what: Counter) -> u64 {
        self.counters.get(what as usize).map_or(0, |cell| cell.load(Relaxed))
    }

    /// A gauge's value.
    #[must_use]
    pub fn gauge(&self, what: Gauge) -> i64 {
        self.gauges.get(what as usize).map_or(0, |cell| cell.load(Relaxed))
    }

    /// How many calls ended for this cause (`tandem_calls_ended_total{cause}`).
    #[must_use]
    pub fn ended_for(&self, cause: Cause) -> u64 {
        self.ended.get(cause as usize).map_or(0, |cell| cell.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_and_every_cause_has_its_place() {
        let mut names: Vec<_> = Counter::ALL.iter().map(|it| it.name()).collect();
        names.extend(Gauge::ALL.iter().map(|it| it.name()));
        names.extend(Histogram::ALL.iter().map(|it| it.name()));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(Queue::ALL.iter().enumerate().all(|(n, it)| Queue::ALL[..n].iter().all(|one| one.name() != it.name())));
        let metrics = Metrics::default();
        Cause::ALL.iter().for_each(|cause| metrics.ended(*cause));
        assert!(Cause::ALL.iter().all(|cause| metrics.ended_for(*cause) == 1));
    }

    #[test]
    fn queues_of_one_name_are_added_up_and_those_of_who_is_gone_are_not() {
        struct Owner(usize);
        impl Queues for Owner {
            fn queues(&self) -> Vec<(Queue, Fill)> {
                vec![(Queue::SipMessages, Fill { depth: self.0, capacity: 10 })]
            }
        }
        let metrics = Metrics::default();
        let owners = [1, 2, 4].map(|depth| std::sync::Arc::new(Owner(depth)));
        for owner in &owners {
            let weak = std::sync::Arc::downgrade(owner);
            metrics.watch(weak);
        }
        let [one, two, three] = owners;
        let found = |queue| metrics.queues().iter().find(|(it, _)| *it == queue).map(|(_, fill)| *fill).unwrap();
        assert_eq!(found(Queue::SipMessages), Fill { depth: 7, capacity: 30 });
        drop(two);
        assert_eq!(found(Queue::SipMessages), Fill { depth: 5, capacity: 20 });
        assert_eq!((found(Queue::BusEvents), metrics.queues().len()), (Fill::default(), Queue::ALL.len()));
        drop((one, three));
    }
}
