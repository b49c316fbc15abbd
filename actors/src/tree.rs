//! Every actor of a node as its operator sees it, and the place where he breaks one on purpose.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calls::Calls;
use crate::drill::How;
use crate::part::PartId;
use crate::rooms::Rooms;
use crate::service::Group;
use crate::vitals::Vitals;

/// Id of the actor that everything hangs on.
pub(crate) const NODE: &str = "node";

/// What an actor is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PartKind")]
pub enum Kind {
    /// What everything hangs on.
    Node,
    /// Keeps services.
    Group,
    /// Something that runs as long as the node.
    Service,
    /// A media thread, below its service.
    Worker,
    /// Keeps a supervisor.
    Root,
    /// Keeps the shells of one kind in one shard.
    Supervisor,
    /// Works on a call's slot.
    Call,
    /// Works on a leg's slot.
    Leg,
    /// Works on a track's slot.
    Track,
    /// Works on a conference's slot.
    Conference,
    /// Works on a participant's slot.
    Participant,
}

/// One actor at one moment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartView {
    /// By which it can be broken: `node`, `edges`, `edges/sip.0`, `calls.0`, `calls.0/supervisor`, `call_…`, `worker.0`.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its name among those of its parent.
    pub name: String,
    /// Who supervises it.
    pub parent: Option<String>,
    /// Whose it is: a leg's call, a track's leg.
    pub owner: Option<String>,
    /// Of a machine, its state; of others `running`, or `waiting` to be started again.
    pub state: String,
    /// Since the present actor began.
    pub age_ms: u64,
    /// How often it was started again.
    pub restarts: u32,
    /// Inputs and effects that wait.
    pub inbox: usize,
}

/// See the module. Clones show the same node.
#[derive(Clone)]
pub struct Tree {
    calls: Arc<Calls>,
    rooms: Arc<Rooms>,
    standing: Vec<Standing>,
}

/// An actor that stands as long as the node.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) parent: Option<String>,
    pub(crate) vitals: Arc<Vitals>,
}

impl Tree {
    pub(crate) fn new(calls: Arc<Calls>, rooms: Arc<Rooms>) -> Self {
        Self { standing: Vec::new(), calls, rooms }
    }

    pub(crate) fn add_group(&mut self, group: &Group, vitals: &Arc<Vitals>) {
        let (id, parent) = (group.name.to_owned(), Some(String::from(NODE)));
        let kept = Standing { kind: Kind::Group, name: id.clone(), id, parent, vitals: vitals.clone() };
        self.standing.push(kept);
        self.standing.extend(group.vitals().map(|(name, vitals)| Standing {
            kind: Kind::Service,
            id: format!("{}/{name}", group.name),
            name: name.to_owned(),
            parent: Some(group.name.to_owned()),
            vitals,
        }));
    }

    /// The last thing to be known: what is above, and below it the calls after all else.
    pub(crate) fn plant(&mut self, root: &Arc<Vitals>) {
        let (id, name) = (String::from(NODE), String::from(NODE));
        self.standing.insert(0, Standing { kind: Kind::Node, id, name, parent: None, vitals: root.clone() });
        self.standing.extend(self.calls.standing());
        self.standing.extend(self.rooms.standing());
    }

    /// Every actor there is, parents before children and owners before what they own. No lock is held for longer than
    /// one of them takes, so the whole is of no single moment.
    #[must_use]
    pub fn view(&self) -> Vec<PartView> {
        let now = self.calls.clock().now().mono;
        let standing = self.standing.iter().map(|it| PartView {
            id: it.id.clone(),
            kind: it.kind,
            name: it.name.clone(),
            parent: it.parent.clone(),
            owner: None,
            state: it.vitals.state().to_owned(),
            age_ms: millis(it.vitals.age(now)),
            restarts: it.vitals.restarts(),
            inbox: 0,
        });
        standing.chain(self.calls.parts(now)).chain(self.rooms.parts(now)).collect()
    }

    /// Breaks an actor; whoever supervises it answers that as any failure. Whether there is such an actor now.
    pub fn break_part(&self, id: &str, how: How) -> bool {
        match id.parse::<PartId>() {
            Ok(part) => self.calls.break_actor(part, how) || self.rooms.break_actor(part, how),
            Err(_) => self.standing.iter().any(|it| it.id == id && it.vitals.break_actor(how)),
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
