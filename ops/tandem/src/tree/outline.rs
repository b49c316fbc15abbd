//! The flat list of a node's actors as an outline: what belongs to an owner below that, everything else below who
//! supervises it.

use std::collections::HashMap;

use tandem_actors::tree::{Kind, PartView};

/// Kinds as they are counted: what an operator looks for first.
const KINDS: [Kind; 11] = [
    Kind::Call,
    Kind::Leg,
    Kind::Track,
    Kind::Conference,
    Kind::Participant,
    Kind::Node,
    Kind::Group,
    Kind::Service,
    Kind::Worker,
    Kind::Root,
    Kind::Supervisor,
];

/// One line of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// How many are above it.
    pub(super) depth: usize,
    pub(super) part: PartView,
}

/// The outline, in the order of the list. What is below nobody that is there is at its top.
pub(super) fn outline(parts: Vec<PartView>) -> Vec<Row> {
    let places: HashMap<&str, usize> = parts.iter().enumerate().map(|(n, part)| (part.id.as_str(), n)).collect();
    let above: Vec<Option<usize>> = parts
        .iter()
        .enumerate()
        .map(|(n, part)| {
            // Whoever is above comes first in the list: so there is no circle, whatever the node says.
            let known = |id: &Option<String>| places.get(id.as_deref()?).copied().filter(|above| *above < n);
            known(&part.owner).or_else(|| known(&part.parent))
        })
        .collect();
    let mut below: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    above.iter().enumerate().for_each(|(n, above)| below.entry(*above).or_default().push(n));
    let mut parts: Vec<_> = parts.into_iter().map(Some).collect();
    let mut todo: Vec<(usize, usize)> = Vec::new();
    let mut rows = Vec::with_capacity(parts.len());
    let mut visit = |todo: &mut Vec<(usize, usize)>, above, depth| {
        todo.extend(below.remove(&above).into_iter().flatten().rev().map(|n| (n, depth)));
    };
    visit(&mut todo, None, 0);
    while let Some((n, depth)) = todo.pop() {
        visit(&mut todo, Some(n), depth + 1);
        rows.extend(parts.get_mut(n).and_then(Option::take).map(|part| Row { depth, part }));
    }
    rows
}

/// The rows in which `text` is found, in kind, id or state, and all that is above them.
pub(super) fn filtered(rows: Vec<Row>, text: &str) -> Vec<Row> {
    let text = text.to_lowercase();
    let mut wanted = 0;
    let mut kept: Vec<_> = rows
        .into_iter()
        .rev()
        .filter(|row| {
            // From below: whatever is less deep than the last one kept is above it.
            let keeps = row.depth < wanted || matches(&row.part, &text);
            if keeps {
                wanted = row.depth;
            }
            keeps
        })
        .collect();
    kept.reverse();
    kept
}

fn matches(part: &PartView, text: &str) -> bool {
    [name_of(part.kind), &part.id, &part.state].iter().any(|field| field.to_lowercase().contains(text))
}

/// How many there are of each kind, and how often any of them was started again.
pub(super) fn summary(parts: &[PartView]) -> String {
    let counts = KINDS.iter().filter_map(|kind| {
        let count = parts.iter().filter(|part| part.kind == *kind).count();
        (count > 0).then(|| plural(count, name_of(*kind)))
    });
    let restarts: u64 = parts.iter().map(|part| u64::from(part.restarts)).sum();
    let restarts = plural(usize::try_from(restarts).unwrap_or(usize::MAX), "restart");
    format!("{}; {restarts}", counts.collect::<Vec<_>>().join(", "))
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(super) const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Node => "node",
        Kind::Group => "group",
        Kind::Service => "service",
        Kind::Worker => "worker",
        Kind::Root => "root",
        Kind::Supervisor => "supervisor",
        Kind::Call => "call",
        Kind::Leg => "leg",
        Kind::Track => "track",
        Kind::Conference => "conference",
        Kind::Participant => "participant",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::tree) fn part(id: &str, kind: Kind, parent: Option<&str>, owner: Option<&str>) -> PartView {
        PartView {
            id: id.to_owned(),
            kind,
            name: id.to_owned(),
            parent: parent.map(str::to_owned),
            owner: owner.map(str::to_owned),
            state: String::from("running"),
            age_ms: 1_500,
            restarts: u32::from(kind == Kind::Service) * 3,
            inbox: 0,
        }
    }

    /// A node with one of most things.
    pub(in crate::tree) fn small() -> Vec<PartView> {
        vec![
            part("node", Kind::Node, None, None),
            part("edges", Kind::Group, Some("node"), None),
            part("edges/sip.0", Kind::Service, Some("edges"), None),
            part("calls.0", Kind::Root, Some("node"), None),
            part("calls.0/supervisor", Kind::Supervisor, Some("calls.0"), None),
            part("call_1", Kind::Call, Some("calls.0/supervisor"), None),
            part("leg_1", Kind::Leg, Some("legs.0/supervisor"), Some("call_1")),
        ]
    }

    fn drawn(rows: &[Row]) -> Vec<(usize, &str)> {
        rows.iter().map(|row| (row.depth, row.part.id.as_str())).collect()
    }

    #[test]
    fn what_is_owned_is_below_its_owner_and_the_rest_below_its_supervisor() {
        let rows = outline(small());
        let expected = [
            (0, "node"),
            (1, "edges"),
            (2, "edges/sip.0"),
            (1, "calls.0"),
            (2, "calls.0/supervisor"),
            (3, "call_1"),
            (4, "leg_1"),
        ];
        assert_eq!(drawn(&rows), expected);
    }

    #[test]
    fn a_filter_keeps_what_it_finds_and_what_is_above_that() {
        let rows = outline(small());
        assert_eq!(drawn(&filtered(rows.clone(), "SIP")), [(0, "node"), (1, "edges"), (2, "edges/sip.0")]);
        let legs = ["node", "calls.0", "calls.0/supervisor", "call_1", "leg_1"];
        assert!(drawn(&filtered(rows.clone(), "leg")).iter().map(|row| row.1).eq(legs));
        assert_eq!(filtered(rows.clone(), "").len(), rows.len());
        assert!(filtered(rows, "nothing").is_empty());
    }

    #[test]
    fn whatever_a_node_says_nothing_is_lost_and_nothing_goes_round() {
        let parts = vec![
            part("a", Kind::Call, Some("b"), Some("a")),
            part("b", Kind::Call, Some("a"), Some("c")),
            part("c", Kind::Call, None, Some("b")),
        ];
        assert_eq!(drawn(&outline(parts)), [(0, "a"), (1, "b"), (2, "c")]);
    }
}
